// Soft-weighted loss with AVX2 and fused multiply-add.
#if defined(__x86_64__) && defined(__linux__)
#define SKETCHFAST_LOSS_PATH loss_avx2
#define SKETCHFAST_LOSS_TARGET __attribute__((target("avx2,fma")))
#define SKETCHFAST_LOSS_BYTES 32
#include "soft_weighted_loss_simd.h"
#else
#include "soft_weighted_loss_block.h"

namespace sketchfast::cpu::loss_avx2 {  // never chosen
double loss_block(const LossBlock<float>&) { return 0; }
double loss_block(const LossBlock<double>&) { return 0; }
double loss_block(const LossBlock<BFloat16Bits>&) { return 0; }
double loss_block(const LossBlock<Float16Bits>&) { return 0; }
}  // namespace sketchfast::cpu::loss_avx2
#endif
