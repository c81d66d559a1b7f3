#include "cpu_features.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#endif

namespace sketchfast::cpu {
namespace {

#if defined(__x86_64__) && defined(__linux__)
constexpr long kArchRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM, <asm/prctl.h> of Linux 5.16
constexpr long kTileDataFeature = 18;            // XFEATURE_XTILEDATA

uint64_t enabled_state_components() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

bool amx_int8_usable() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & (1u << 27))) return false;  // OSXSAVE
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  const bool amx_tile = edx & (1u << 24);
  const bool amx_int8 = edx & (1u << 25);
  if (!amx_tile || !amx_int8) return false;
  constexpr uint64_t kTileStates = (1ull << 17) | (1ull << 18);
  if ((enabled_state_components() & kTileStates) != kTileStates) return false;
  return syscall(SYS_arch_prctl, kArchRequestPermission, kTileDataFeature) == 0;
}
#endif

CpuFeatures detect() {
  CpuFeatures features;
#if defined(__x86_64__) && defined(__linux__)
  __builtin_cpu_init();
  features.avx2 = __builtin_cpu_supports("avx2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  features.avx512_vpopcnt = avx512 && __builtin_cpu_supports("avx512vpopcntdq");
  features.avx512_vbmi = avx512 && __builtin_cpu_supports("avx512vbmi");
  features.amx_int8 = features.avx512_vpopcnt && __builtin_cpu_supports("avx512vbmi") &&
                      __builtin_cpu_supports("avx512bitalg") && amx_int8_usable();
#endif
  return features;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

}  // namespace sketchfast::cpu
