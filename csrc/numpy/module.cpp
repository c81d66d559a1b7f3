// sketchfast._core: numpy faces of csrc/cpu for processes that never import torch. One bind_<op> per file of this
// folder.
#include <pybind11/pybind11.h>

namespace sketchfast::numpy {

void bind_contour_points(pybind11::module_& module);
void bind_hamming(pybind11::module_& module);
void bind_rasterize(pybind11::module_& module);
void bind_skeletonize(pybind11::module_& module);

}  // namespace sketchfast::numpy

PYBIND11_MODULE(_core, module) {
  module.doc() = "CPU kernels of sketchfast over numpy arrays; use sketchfast.numpy_ops.";
  sketchfast::numpy::bind_contour_points(module);
  sketchfast::numpy::bind_hamming(module);
  sketchfast::numpy::bind_rasterize(module);
  sketchfast::numpy::bind_skeletonize(module);
}
