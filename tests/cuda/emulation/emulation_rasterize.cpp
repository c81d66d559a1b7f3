// Runs rasterize of csrc/cuda on the CPU over the cases of standard input; see fibers.h.
//
// In: int64 seed, then per case eleven int64 (count, points of each, height, width, thickness, antialias, the fit's margin as the
// bits of a double, lengths given, byte offset of points and images, and of RasterTuning band_rows, most_blocks), points, pens and
// lengths [count] in any case. Out: the images.
#include "fibers.h"

#include "cuda/rasterize.cu"

int main() {
  using namespace emulation;
  using namespace sketchfast;
  begin();
  int64_t c[11];
  while (next_case(c)) {
    const auto [count, each, height, width, thickness, antialias, fit_bits, has_lengths, offset, band_rows, most_blocks] = c;
    double fit;
    std::memcpy(&fit, &fit_bits, sizeof fit);
    Bytes points(static_cast<size_t>(count * each) * 8, static_cast<size_t>(offset) / 4 * 4);
    Bytes lifts(static_cast<size_t>(count * each), 0), lengths(static_cast<size_t>(count) * 8, 0);
    for (Bytes* bytes : {&points, &lifts, &lengths}) read(bytes->data, bytes->size);
    Bytes images(static_cast<size_t>(count * height * width), static_cast<size_t>(offset));
    const cuda::Sequences sequences = {reinterpret_cast<const float*>(points.data), lifts.data,
                                       has_lengths ? reinterpret_cast<const int64_t*>(lengths.data) : nullptr, count, each};
    cuda::RasterTuning tuning;
    tuning.band_rows = band_rows;
    tuning.most_blocks = most_blocks;
    check(cuda::rasterize(sequences, raster::canvas_of(height, width, thickness, antialias != 0, fit), images.data, nullptr,
                          tuning));
    write(images);
  }
  return end();
}
