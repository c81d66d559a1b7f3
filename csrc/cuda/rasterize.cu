// rasterize: a block draws one band of rows of one picture, or with antialiasing one tile.
//
//   lines   every thread takes segments and walks the rows of them that the band can show, setting bits in shared memory; after a
//           barrier every thread takes words of 32 pixels, ORs the places of the disc, and writes 32 bytes
//   tiles   every thread looks at one segment of 256; those near the tile are cut to it and listed in shared memory; after a
//           barrier every thread takes the least distance of its four pixels to all of them
//
// Bits are set by atomicOr and distances are joined by a minimum, so the order of threads does not show. Each block finds the
// bounding box of its sequence anew where it is to be fitted: points_each / 256 more loads a thread, no second launch.
// Cost: points_each segments a block, each up to band_rows steps of one thread; H W bytes written once.
//
// Compiled, and run through the CPU emulation of tests/cuda; not yet executed on a GPU.
#include "rasterize.h"

#include <algorithm>

#include "launch.h"

namespace sketchfast::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kWordPixels = 32;
constexpr int kFurtherWords = 2;  // the disc reaches 63 pixels past a word
constexpr int kTileRows = 16, kTileColumns = 64, kThreadPixels = 4;
static_assert(kTileRows * kTileColumns == kThreads * kThreadPixels);

struct RasterArguments {
  Sequences sequences;
  raster::Canvas canvas;
  uint8_t* images;
  int64_t pieces;  // bands or tiles of all pictures
  int pieces_each;
  int band_rows;
  int stride;  // words of a row of bits
  int store;   // bytes written together
};

// Shared memory of a block begins with this.
struct RasterHead {
  float box[kWarps][4];  // left, right, top, bottom
  int insets[raster::kMaxThickness];
  int listed;
};

struct Place {
  float x, y;
};

struct Sequence {
  const float* points;
  const uint8_t* lifts;
  int64_t length;
  raster::Placement placement;
};

// False where the point is to be left out.
__device__ __forceinline__ bool read_point(const RasterArguments& given, const Sequence& sequence, int64_t i,
                                           Place* point) {
  *point = {sequence.points[2 * i], sequence.points[2 * i + 1]};
  return raster::legal(given.canvas, point->x, point->y);
}

// Called by all threads of a block; the shared memory of the head is free again behind the next barrier.
__device__ Sequence sequence_of(const RasterArguments& given, int64_t image, RasterHead* head) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t each = given.sequences.points_each;
  Sequence sequence;
  sequence.points = given.sequences.points + 2 * image * each;
  sequence.lifts = given.sequences.lifts + image * each;
  const int64_t wanted = given.sequences.lengths == nullptr ? each : given.sequences.lengths[image];
  sequence.length = wanted < 0 ? 0 : wanted > each ? each : wanted;
  if (!given.canvas.fit) return sequence;
  float left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
  for (int64_t i = thread; i < sequence.length; i += kThreads) {
    Place p;
    if (!read_point(given, sequence, i, &p)) continue;
    left = fminf(left, p.x);
    right = fmaxf(right, p.x);
    top = fminf(top, p.y);
    bottom = fmaxf(bottom, p.y);
  }
#pragma unroll
  for (int other = kWarp / 2; other > 0; other /= 2) {
    left = fminf(left, __shfl_xor_sync(kFullWarp, left, other));
    right = fmaxf(right, __shfl_xor_sync(kFullWarp, right, other));
    top = fminf(top, __shfl_xor_sync(kFullWarp, top, other));
    bottom = fmaxf(bottom, __shfl_xor_sync(kFullWarp, bottom, other));
  }
  if (thread % kWarp == 0) {
    float* box = head->box[thread / kWarp];
    box[0] = left;
    box[1] = right;
    box[2] = top;
    box[3] = bottom;
  }
  __syncthreads();
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    left = fminf(left, head->box[w][0]);
    right = fmaxf(right, head->box[w][1]);
    top = fminf(top, head->box[w][2]);
    bottom = fmaxf(bottom, head->box[w][3]);
  }
  sequence.placement = raster::placement_of(given.canvas, left, right, top, bottom);
  return sequence;
}

__device__ __forceinline__ Place placed(const Sequence& sequence, Place p) {
  return {raster::placed_x(sequence.placement, p.x), raster::placed_y(sequence.placement, p.y)};
}

// draw(a, b) for the segment that begins at point i; draw(a, a) where no segment touches it.
template <class Draw>
__device__ __forceinline__ void draw_from(const RasterArguments& given, const Sequence& sequence, int64_t i,
                                          const Draw& draw) {
  Place here, other;
  if (!read_point(given, sequence, i, &here)) return;
  const Place a = placed(sequence, here);
  if (i + 1 < sequence.length && sequence.lifts[i] == 0 && read_point(given, sequence, i + 1, &other)) {
    draw(a, placed(sequence, other));
  } else if (i == 0 || sequence.lifts[i - 1] != 0 || !read_point(given, sequence, i - 1, &other)) {
    draw(a, a);
  }
}

// ---- lines -------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ void set_run(unsigned* row, int first, int last) {
  const int from = first / kWordPixels, to = last / kWordPixels;
  for (int w = from; w <= to; ++w) {
    unsigned bits = 0xffffffffu;
    if (w == from) bits &= 0xffffffffu << (first % kWordPixels);
    if (w == to) bits &= 0xffffffffu >> (kWordPixels - 1 - last % kWordPixels);
    atomicOr(row + w, bits);
  }
}

// Rows and columns of `bits` begin the pen's reach before those of the band.
__device__ void draw_line(unsigned* bits, int stride, int rows, int columns, int x0, int y0, int x1, int y1) {
  raster::LineRows line = raster::line_rows(x0, y0, x1, y1, 0, rows - 1);
  for (; line.rows > 0; --line.rows, raster::next_row(line)) {
    const int first = line.flat ? line.from : line.at, last = raster::last_in_row(line);
    const int left = max(line.right > 0 ? line.x0 + first : line.x0 - last, 0);
    const int right = min(line.right > 0 ? line.x0 + last : line.x0 - first, columns - 1);
    if (left <= right) set_run(bits + line.row * stride, left, right);
  }
}

// The OR of 32 bits from each place first..last on; last < 32.
__device__ __forceinline__ unsigned joined_places(uint64_t bits, int first, int last) {
  bits >>= first;
  const int count = last - first + 1;
  for (int have = 1; have < count;) {
    const int step = min(have, count - have);
    bits |= bits >> step;
    have += step;
  }
  return static_cast<unsigned>(bits);
}

// 32 pixels: OR over the rows of the disc. `bits`: the same word of the same row in the lines.
__device__ __forceinline__ unsigned inked(const unsigned* bits, int stride, int thickness, const int* insets) {
  if (thickness == 1) return bits[0];
  unsigned ink = 0;
  for (int sy = 0; sy < thickness; ++sy, bits += stride) {
    const uint64_t low = bits[0] | static_cast<uint64_t>(bits[1]) << 32;
    const unsigned high = bits[2];
    if ((low | high) == 0) continue;
    const int first = insets[sy], last = thickness - 1 - first;  // first <= 31
    ink |= joined_places(low, first, min(last, kWordPixels - 1));
    if (last >= kWordPixels) ink |= joined_places(low >> 32 | static_cast<uint64_t>(high) << 32, 0, last - kWordPixels);
  }
  return ink;
}

// Four bits to four bytes: 255 for 0, 0 for 1.
__device__ __forceinline__ unsigned bytes_of(unsigned bits) {
  return ~(((bits & 0xfu) * 0x00204081u & 0x01010101u) * 0xffu);
}

__device__ __forceinline__ void write_pixels(unsigned ink, uint8_t* out, int count, int store) {
  if (store == 16) {
#pragma unroll
    for (int i = 0; i < kWordPixels; i += 16, ink >>= 16) {
      if (i >= count) return;
      *reinterpret_cast<uint4*>(out + i) =
          uint4{bytes_of(ink), bytes_of(ink >> 4), bytes_of(ink >> 8), bytes_of(ink >> 12)};
    }
  } else if (store == 4) {
    for (int i = 0; i < count; i += 4, ink >>= 4) *reinterpret_cast<unsigned*>(out + i) = bytes_of(ink);
  } else {
    for (int i = 0; i < count; ++i, ink >>= 1) out[i] = (ink & 1u) != 0 ? 0 : 255;
  }
}

__global__ void __launch_bounds__(kThreads) rasterize_bands(const RasterArguments given) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  RasterHead* head = reinterpret_cast<RasterHead*>(shared_memory);
  unsigned* bits = reinterpret_cast<unsigned*>(head + 1);
  const raster::Canvas& canvas = given.canvas;
  const int thread = static_cast<int>(threadIdx.x);
  const int thickness = canvas.thickness, reach = thickness / 2;
  const int words = (canvas.width + kWordPixels - 1) / kWordPixels;
  if (thread < thickness) head->insets[thread] = raster::disc_inset(thickness, thread);

  for (int64_t piece = blockIdx.x; piece < given.pieces; piece += gridDim.x) {
    const int64_t image = piece / given.pieces_each;
    const int top = static_cast<int>(piece % given.pieces_each) * given.band_rows;
    const int rows = min(given.band_rows, canvas.height - top);
    const int bit_rows = rows + thickness - 1, bit_columns = canvas.width + thickness - 1;
    for (int i = thread; i < bit_rows * given.stride; i += kThreads) bits[i] = 0;
    const Sequence sequence = sequence_of(given, image, head);
    __syncthreads();
    for (int64_t i = thread; i < sequence.length; i += kThreads) {
      draw_from(given, sequence, i, [&](Place a, Place b) {
        draw_line(bits, given.stride, bit_rows, bit_columns, raster::pixel_of(a.x) + reach,
                  raster::pixel_of(a.y) + reach - top, raster::pixel_of(b.x) + reach,
                  raster::pixel_of(b.y) + reach - top);
      });
    }
    __syncthreads();
    uint8_t* out = given.images + (image * canvas.height + top) * canvas.width;
    for (int i = thread; i < rows * words; i += kThreads) {
      const int y = i / words, w = i % words;
      const unsigned ink = inked(bits + y * given.stride + w, given.stride, thickness, head->insets);
      write_pixels(ink, out + static_cast<int64_t>(y) * canvas.width + w * kWordPixels,
                   min(kWordPixels, canvas.width - w * kWordPixels), given.store);
    }
    __syncthreads();
  }
}

// ---- antialiased -------------------------------------------------------------------------------------------------------

__global__ void __launch_bounds__(kThreads) rasterize_tiles(const RasterArguments given) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  RasterHead* head = reinterpret_cast<RasterHead*>(shared_memory);
  raster::Segment* list = reinterpret_cast<raster::Segment*>(head + 1);
  const raster::Canvas& canvas = given.canvas;
  const int thread = static_cast<int>(threadIdx.x);
  const int tiles_across = (canvas.width + kTileColumns - 1) / kTileColumns;
  const float half = static_cast<float>(canvas.thickness) / 2, reach = half + 0.5f;
  const int y = thread / (kTileColumns / kThreadPixels), x = thread % (kTileColumns / kThreadPixels) * kThreadPixels;

  for (int64_t piece = blockIdx.x; piece < given.pieces; piece += gridDim.x) {
    const int64_t image = piece / given.pieces_each;
    const int tile = static_cast<int>(piece % given.pieces_each);
    const int left = tile % tiles_across * kTileColumns, top = tile / tiles_across * kTileRows;
    const int right = left + kTileColumns - 1, bottom = top + kTileRows - 1;
    const Sequence sequence = sequence_of(given, image, head);
    float least[kThreadPixels];
#pragma unroll
    for (int k = 0; k < kThreadPixels; ++k) least[k] = INFINITY;
    for (int64_t base = 0; base < sequence.length; base += kThreads) {
      if (thread == 0) head->listed = 0;
      __syncthreads();
      if (base + thread < sequence.length) {
        draw_from(given, sequence, base + thread, [&](Place a, Place b) {
          if (fmaxf(a.x, b.x) < left - reach || fminf(a.x, b.x) > right + reach || fmaxf(a.y, b.y) < top - reach ||
              fminf(a.y, b.y) > bottom + reach) {
            return;
          }
          raster::Segment segment;
          if (raster::segment_near(a.x, a.y, b.x, b.y, left, top, right, bottom, reach + 2, &segment)) {
            list[atomicAdd(&head->listed, 1)] = segment;
          }
        });
      }
      __syncthreads();
      const int listed = head->listed;
      for (int s = 0; s < listed; ++s) {
        const raster::Segment segment = list[s];
        const float py = static_cast<float>(y) - segment.y;
#pragma unroll
        for (int k = 0; k < kThreadPixels; ++k) {
          const float px = static_cast<float>(x + k) - segment.x;
          const float along = segment.ux * px + segment.uy * py;
          const float aside = segment.uy * px - segment.ux * py;
          const float beyond = fmaxf(fmaxf(-along, along - segment.length), 0.0f);
          least[k] = fminf(least[k], aside * aside + beyond * beyond);
        }
      }
      __syncthreads();
    }
    const int columns = min(kThreadPixels, canvas.width - left - x);
    if (top + y < canvas.height && columns > 0) {
      uint8_t* out = given.images + (image * canvas.height + top + y) * canvas.width + left + x;
      unsigned values = 0;
#pragma unroll
      for (int k = 0; k < kThreadPixels; ++k) {
        const float value = (sqrtf(least[k]) - half + 0.5f) * 255.0f;
        values |= static_cast<unsigned>(rintf(fminf(fmaxf(value, 0.0f), 255.0f))) << (8 * k);
      }
      if (given.store >= kThreadPixels) {
        *reinterpret_cast<unsigned*>(out) = values;
      } else {
        for (int k = 0; k < columns; ++k, values >>= 8) out[k] = static_cast<uint8_t>(values);
      }
    }
    __syncthreads();  // with a fit the head's boxes are written next
  }
}

}  // namespace

cudaError_t rasterize(const Sequences& sequences, const raster::Canvas& canvas, uint8_t* images, cudaStream_t stream,
                      const RasterTuning& tuning) {
  if (sequences.count == 0) return cudaSuccess;
  if (canvas.height < 1 || canvas.height > raster::kMaxSide || canvas.width < 1 || canvas.width > raster::kMaxSide ||
      canvas.thickness < 1 || canvas.thickness > raster::kMaxThickness) {
    return cudaErrorInvalidValue;
  }
  RasterArguments given = {};
  given.sequences = sequences;
  given.canvas = canvas;
  given.images = images;
  const uintptr_t places = reinterpret_cast<uintptr_t>(images) | static_cast<uintptr_t>(canvas.width);
  given.store = places % 16 == 0 ? 16 : places % 4 == 0 ? 4 : 1;
  size_t shared = sizeof(RasterHead);
  if (canvas.antialias) {
    given.pieces_each = static_cast<int>(ceil_div(canvas.width, kTileColumns) * ceil_div(canvas.height, kTileRows));
    shared += kThreads * sizeof(raster::Segment);
  } else {
    const int64_t stride = ceil_div(canvas.width, kWordPixels) + kFurtherWords;
    const int64_t most_rows =
        static_cast<int64_t>(kSharedWithoutOptIn - shared) / (stride * 4) - (canvas.thickness - 1);
    given.stride = static_cast<int>(stride);
    given.band_rows =
        static_cast<int>(std::min<int64_t>(canvas.height, std::clamp<int64_t>(tuning.band_rows, 1, most_rows)));
    given.pieces_each = static_cast<int>(ceil_div(canvas.height, given.band_rows));
    shared += static_cast<size_t>(stride * (given.band_rows + canvas.thickness - 1)) * 4;
  }
  given.pieces = sequences.count * given.pieces_each;
  int64_t blocks = grid_stride_blocks(given.pieces);
  if (tuning.most_blocks > 0) blocks = std::min(blocks, tuning.most_blocks);
  return launch(canvas.antialias ? rasterize_tiles : rasterize_bands, blocks, kThreads, shared, stream, given);
}

}  // namespace sketchfast::cuda
