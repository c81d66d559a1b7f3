// Landmark pooling with AVX2 and fused multiply-add; compiled as the portable one, and never chosen, elsewhere.
#define SKETCHFAST_POOL_PATH pool_avx2
#if defined(__x86_64__) && defined(__linux__)
#define SKETCHFAST_POOL_TARGET __attribute__((target("avx2,fma")))
#define SKETCHFAST_POOL_BYTES 32
#else
#define SKETCHFAST_POOL_TARGET
#define SKETCHFAST_POOL_BYTES 16
#endif
#include "landmark_pool_simd.h"
