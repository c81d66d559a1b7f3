// Placeholder of the avx2 path: says that it is not there.
#include "hamming_scan.h"

namespace sketchfast::cpu {
const HammingKernels* hamming_kernels_avx2() { return nullptr; }
}  // namespace sketchfast::cpu
