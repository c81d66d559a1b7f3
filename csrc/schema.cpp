// Every torch operator's schema, on one screen. Implementations: csrc/torch/<op>_cpu.cpp and <op>_cuda.cpp; fakes and
// autograd: sketchfast/ops/<op>.py.
#include <torch/csrc/stable/library.h>

STABLE_TORCH_LIBRARY(sketchfast, library) {
  // queries uint8 [Q, bits/8], database uint8 [N, bits/8] -> distances int32 [Q, k], ids int64 [Q, k]
  library.def("hamming_topk(Tensor queries, Tensor database, int k) -> (Tensor distances, Tensor ids)");
  // -> [Q, N], uint8 up to 255 bits, int16 above
  library.def("hamming_cdist(Tensor queries, Tensor database) -> Tensor");
  // values [..., bits] -> uint8 [..., bits/8], bit = value > 0, little-endian in each byte
  library.def("pack_bits(Tensor values) -> Tensor");
  // images bool or uint8 [H, W] or [N, H, W], method "skel", "thin" or "zhang", max_iter -1: until nothing changes
  // -> bool, same shape
  library.def("skeletonize(Tensor images, str method, int max_iter) -> Tensor");
  // images uint8 [H, W] or [N, H, W], threshold 0..256 -> uint8, same shape: 0 centreline of value < threshold, 255 else
  library.def("homogeneous_transform(Tensor images, int threshold) -> Tensor");
  // images bool or uint8 [N, H, W], sides 1..32767, non-zero = stroke, n 1..4096 -> points int32 [N, n, 2] as (x, y), valid
  // bool [N]; of [H, W] -> [n, 2], []. A blank image: its centre (W / 2, H / 2) n times, not valid.
  library.def("contour_points(Tensor images, int n) -> (Tensor points, Tensor valid)");
  // points float32 [N, T, 2] as (x, y) in pixels, pen bool or uint8 [N, T], non-zero: lifts after this point, lengths int64 [N] or
  // none, sides 1..4096, thickness 1..64, fit: the margin as a share of the shorter side, below 0.5, negative for none -> uint8
  // [N, height, width], paper 255, ink 0. Points that are NaN or beyond 2^22 (2^100 with a fit) in size, lengths out of 0..T: an
  // error on the CPU; on CUDA, where nothing waits for the device, such points are left out, and lengths cut.
  library.def(
      "rasterize(Tensor points, Tensor pen, Tensor? lengths, int height, int width, int thickness, bool antialias, "
      "float fit) -> Tensor");
  // logits float [N, C, H, W], labels integer [N, H, W], class_weights [C] -> loss [] (float32; float64 of float64), and
  // d loss / d logits in the dtype of logits, or an empty [0] without with_gradient. background -1: there is none. A label
  // that is neither 0..C-1 nor ignore_index is an error on the CPU; on CUDA, where nothing waits for the device, a
  // device-side assertion (and it is never used as an index). Ignored everywhere, or all weights met are 0: 0, gradient 0.
  library.def(
      "soft_weighted_loss(Tensor logits, Tensor labels, Tensor class_weights, int ignore_index, int background, "
      "bool soft, bool with_gradient) -> (Tensor loss, Tensor gradient)");
  // grad_output [] * d loss / d logits, rounded once: for float16, whose gradients may underflow without grad_output.
  library.def(
      "soft_weighted_loss_backward(Tensor grad_output, Tensor logits, Tensor labels, Tensor class_weights, "
      "int ignore_index, int background, bool soft) -> Tensor");
  // gradient *= factor [] (float32 or float64), touching no memory where factor is 1; the host never waits for factor.
  library.def("soft_weighted_loss_scale_(Tensor(a!) gradient, Tensor factor) -> ()");
  // features float [N, C, H, W] (NCHW or channels_last), points float32 or float64 [N, L, 2] as (x, y) in pixels of the map,
  // reduce "mean" -> [N, C] or "none" -> [N, L, C] in the dtype of features. NaN points: an error on the CPU, outside the
  // map (as infinite ones are) on CUDA.
  library.def("landmark_pool(Tensor features, Tensor points, str reduce) -> Tensor");
  // grad of the pooled vectors -> gradient of features in their layout and dtype, of points in theirs; one that is not
  // asked for is an empty [0]. No atomics, fixed order of sums.
  library.def(
      "landmark_pool_backward(Tensor grad, Tensor features, Tensor points, str reduce, bool features_gradient, "
      "bool points_gradient) -> (Tensor grad_features, Tensor grad_points)");
}
