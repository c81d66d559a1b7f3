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
}
