// numpy face of contour_points: argument checks and allocation, then csrc/cpu with the GIL released.
#include "../cpu/contour_points.h"

#include <cstdint>
#include <string>
#include <vector>

#include "../math/contour_points.h"
#include "skeletonize.h"

namespace sketchfast::numpy {
namespace {

py::tuple contour_points(const py::object& images_, int64_t n, int threads, const std::string& path_name) {
  const py::array images = images_of(images_, true);
  const ImageBatch batch = batch_of(images);
  if (batch.height < 1 || batch.height > contour::kMaxSide || batch.width < 1 || batch.width > contour::kMaxSide) {
    throw py::value_error("images: expected sides of 1 to " + std::to_string(contour::kMaxSide) + " pixels, got " +
                          shape_of(images));
  }
  if (n < 1 || n > contour::kMaxPoints) {
    throw py::value_error("n: expected 1 to " + std::to_string(contour::kMaxPoints) + ", got " + std::to_string(n));
  }
  const cpu::SkeletonPath path = skeleton_path_of(path_name);
  std::vector<py::ssize_t> shape;  // of valid
  if (images.ndim() == 3) shape.push_back(images.shape(0));
  py::array_t<bool> valid(shape);
  shape.insert(shape.end(), {static_cast<py::ssize_t>(n), 2});
  py::array_t<int32_t> points(shape);
  const auto* in = static_cast<const uint8_t*>(images.data());
  int32_t* points_out = points.mutable_data();
  auto* valid_out = reinterpret_cast<uint8_t*>(valid.mutable_data());
  {
    const py::gil_scoped_release release;
    cpu::contour_points(in, batch.num_images, batch.height, batch.width, n, points_out, valid_out, threads, path);
  }
  return py::make_tuple(points, valid);
}

}  // namespace

void bind_contour_points(py::module_& module) {
  module.def("contour_points", &contour_points, py::arg("images"), py::arg("n"), py::arg("threads") = 0,
             py::arg("path") = "auto");
}

}  // namespace sketchfast::numpy
