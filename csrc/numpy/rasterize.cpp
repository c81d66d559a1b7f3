// numpy face of rasterize: argument checks and allocation, then csrc/cpu with the GIL released.
#include "../cpu/rasterize.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace sketchfast::numpy {
namespace {

namespace py = pybind11;
using cpu::RasterPath;

constexpr struct {
  RasterPath path;
  const char* name;
} kRasterPaths[] = {{RasterPath::automatic, "auto"}, {RasterPath::portable, "portable"}, {RasterPath::avx2, "avx2"}};

RasterPath raster_path_of(const std::string& name) {
  for (const auto& known : kRasterPaths) {
    if (name != known.name) continue;
    if (!cpu::raster_path_available(known.path)) {
      throw py::value_error("rasterize: path: this processor cannot run '" + name + "'");
    }
    return known.path;
  }
  throw py::value_error("rasterize: path must be 'auto', 'portable' or 'avx2', found '" + name + "'");
}

std::vector<std::string> rasterize_paths() {
  std::vector<std::string> names;
  for (const auto& known : kRasterPaths) {
    if (known.path != RasterPath::automatic && cpu::raster_path_available(known.path)) names.emplace_back(known.name);
  }
  return names;
}

void refuse(const cpu::SequenceBatch& batch, const raster::Canvas& canvas, const cpu::SequenceFault& fault) {
  std::ostringstream words;
  if (fault.point < 0) {
    words << "rasterize: lengths[" << fault.sequence << "] must be 0 to " << batch.points_each << ", found "
          << batch.lengths[fault.sequence];
  } else {
    const float* point = batch.points + 2 * (fault.sequence * batch.points_each + fault.point);
    words << "rasterize: points[" << fault.sequence << ", " << fault.point << "] must be at most " << canvas.largest
          << " in size, found (" << point[0] << ", " << point[1] << ")";
  }
  throw py::value_error(words.str());
}

// sketchfast.numpy_ops has checked dtypes, shapes and numbers, and gives contiguous arrays; here only what memory depends on.
py::array rasterize(const py::array_t<float>& points, const py::array_t<uint8_t>& pen, const py::object& lengths_,
                    int64_t height, int64_t width, int64_t thickness, bool antialias, double fit, int threads,
                    const std::string& path_name) {
  const auto places = py::array_t<float, py::array::c_style>::ensure(points);
  const auto lifts = py::array_t<uint8_t, py::array::c_style>::ensure(pen);
  if (places.ndim() != 3 || places.shape(2) != 2 || lifts.ndim() != 2 || lifts.shape(0) != places.shape(0) ||
      lifts.shape(1) != places.shape(1)) {
    throw py::value_error("rasterize: points must have shape [N, T, 2] and pen [N, T]");
  }
  if (height < 1 || height > raster::kMaxSide || width < 1 || width > raster::kMaxSide || thickness < 1 ||
      thickness > raster::kMaxThickness || !(fit < 0.5)) {
    throw py::value_error("rasterize: size, thickness or fit out of bounds");
  }
  py::array_t<int64_t, py::array::c_style> lengths;
  if (!lengths_.is_none()) {
    lengths = py::array_t<int64_t, py::array::c_style>::ensure(lengths_);
    if (!lengths || lengths.ndim() != 1 || lengths.shape(0) != places.shape(0)) {
      throw py::value_error("rasterize: lengths must have shape [N]");
    }
  }
  const RasterPath path = raster_path_of(path_name);
  const raster::Canvas canvas = raster::canvas_of(height, width, thickness, antialias, fit);
  const cpu::SequenceBatch batch = {places.data(), lifts.data(), lengths_.is_none() ? nullptr : lengths.data(),
                                    places.shape(0), places.shape(1)};
  py::array_t<uint8_t> images(std::vector<py::ssize_t>{places.shape(0), height, width});
  uint8_t* out = images.mutable_data();
  cpu::SequenceFault fault;
  {
    const py::gil_scoped_release release;
    fault = cpu::first_fault(batch, canvas);
    if (fault.sequence < 0) cpu::rasterize(batch, canvas, out, threads, path);
  }
  if (fault.sequence >= 0) refuse(batch, canvas, fault);
  return images;
}

}  // namespace

void bind_rasterize(py::module_& module) {
  module.def("rasterize_paths", &rasterize_paths);
  module.def("rasterize", &rasterize, py::arg("points"), py::arg("pen"), py::arg("lengths"), py::arg("height"),
             py::arg("width"), py::arg("thickness"), py::arg("antialias"), py::arg("fit"), py::arg("threads") = 0,
             py::arg("path") = "auto");
}

}  // namespace sketchfast::numpy
