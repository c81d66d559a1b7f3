// Placeholder of the amx path: says that it is not there.
#include "hamming_scan.h"

namespace sketchfast::cpu {
const HammingKernels* hamming_kernels_amx() { return nullptr; }
}  // namespace sketchfast::cpu
