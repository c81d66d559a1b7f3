// numpy faces of skeletonize and homogeneous_transform: argument checks and allocation, then csrc/cpu with the GIL released.
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "skeletonize.h"

namespace sketchfast::numpy {
namespace {

using cpu::SkeletonMethod;
using cpu::SkeletonPath;

std::vector<std::string> skeletonize_paths() {
  std::vector<std::string> names;
  for (const SkeletonPath path : kSkeletonPaths) {
    if (path != SkeletonPath::automatic && cpu::skeletonize_path_available(path))
      names.emplace_back(skeletonize_path_name(path));
  }
  return names;
}

SkeletonMethod method_of(const std::string& name) {
  if (name == "skel") return SkeletonMethod::skel;
  if (name == "thin") return SkeletonMethod::thin;
  if (name == "zhang") return SkeletonMethod::zhang;
  throw py::value_error("method: expected 'skel', 'thin' or 'zhang', got '" + name + "'");
}

py::array skeletonize(const py::object& images_, const std::string& method_name, std::optional<int64_t> max_iter,
                      int threads, const std::string& path_name) {
  const py::array images = images_of(images_, true);
  const SkeletonMethod method = method_of(method_name);
  if (max_iter && *max_iter < 1) {
    throw py::value_error("max_iter: expected at least 1, or None for until nothing changes, got " +
                          std::to_string(*max_iter));
  }
  const SkeletonPath path = skeleton_path_of(path_name);
  const ImageBatch batch = batch_of(images);
  py::array_t<bool> skeletons(std::vector<py::ssize_t>(images.shape(), images.shape() + images.ndim()));
  const auto* in = static_cast<const uint8_t*>(images.data());
  auto* out = reinterpret_cast<uint8_t*>(skeletons.mutable_data());
  {
    const py::gil_scoped_release release;
    cpu::skeletonize(in, batch.num_images, batch.height, batch.width, method, max_iter.value_or(cpu::kUntilStable), out,
                     threads, path);
  }
  return skeletons;
}

py::array homogeneous_transform(const py::object& images_, int64_t threshold, int threads,
                                const std::string& path_name) {
  const py::array images = images_of(images_, false);
  if (threshold < 0 || threshold > 256) {
    throw py::value_error("threshold: expected 0 to 256, got " + std::to_string(threshold));
  }
  const SkeletonPath path = skeleton_path_of(path_name);
  const ImageBatch batch = batch_of(images);
  py::array_t<uint8_t> result(std::vector<py::ssize_t>(images.shape(), images.shape() + images.ndim()));
  const auto* in = static_cast<const uint8_t*>(images.data());
  uint8_t* out = result.mutable_data();
  {
    const py::gil_scoped_release release;
    cpu::homogeneous_transform(in, batch.num_images, batch.height, batch.width, static_cast<int>(threshold), out,
                               threads, path);
  }
  return result;
}

}  // namespace

void bind_skeletonize(py::module_& module) {
  module.def("skeletonize_paths", &skeletonize_paths);
  module.def("skeletonize", &skeletonize, py::arg("images"), py::arg("method") = "skel",
             py::arg("max_iter") = py::none(), py::arg("threads") = 0, py::arg("path") = "auto");
  module.def("homogeneous_transform", &homogeneous_transform, py::arg("images"), py::arg("threshold") = 128,
             py::arg("threads") = 0, py::arg("path") = "auto");
}

}  // namespace sketchfast::numpy
