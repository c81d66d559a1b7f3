// What the numpy faces of the operations on drawings read from their arguments.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "../cpu/skeletonize.h"

namespace sketchfast::numpy {

namespace py = pybind11;

constexpr cpu::SkeletonPath kSkeletonPaths[] = {cpu::SkeletonPath::automatic, cpu::SkeletonPath::portable,
                                                cpu::SkeletonPath::avx2, cpu::SkeletonPath::avx512};

inline cpu::SkeletonPath skeleton_path_of(const std::string& name) {
  for (const cpu::SkeletonPath path : kSkeletonPaths) {
    if (name != skeletonize_path_name(path)) continue;
    if (!cpu::skeletonize_path_available(path)) throw py::value_error("path: this processor cannot run '" + name + "'");
    return path;
  }
  throw py::value_error("path: expected 'auto', 'portable', 'avx2' or 'avx512', got '" + name + "'");
}

inline std::string shape_of(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

// Contiguous, [H, W] or [N, H, W], uint8 or, where allowed, bool.
inline py::array images_of(const py::object& object, bool or_bool) {
  const char* wanted = or_bool ? "bool or uint8" : "uint8";
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(std::string("images: expected a numpy array of ") + wanted + ", got " +
                         py::cast<std::string>(py::type::of(object).attr("__name__")));
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  const bool is_bool = py::isinstance<py::array_t<bool>>(array);
  if (!py::isinstance<py::array_t<uint8_t>>(array) && !(or_bool && is_bool)) {
    throw py::type_error(std::string("images: expected dtype ") + wanted + ", got " +
                         py::cast<std::string>(py::str(array.dtype())));
  }
  if (array.ndim() != 2 && array.ndim() != 3) {
    throw py::value_error("images: expected shape [H, W] or [N, H, W], got " + shape_of(array));
  }
  return py::array::ensure(array, py::array::c_style);
}

struct ImageBatch {
  int64_t num_images, height, width;
};

inline ImageBatch batch_of(const py::array& images) {
  const py::ssize_t first = images.ndim() - 2;
  return {first == 0 ? 1 : images.shape(0), images.shape(first), images.shape(first + 1)};
}

}  // namespace sketchfast::numpy
