// Placeholder of the avx512 path: says that it is not there.
#include "hamming_scan.h"

namespace sketchfast::cpu {
const HammingKernels* hamming_kernels_avx512() { return nullptr; }
}  // namespace sketchfast::cpu
