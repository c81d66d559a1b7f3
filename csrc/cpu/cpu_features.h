// Which instruction sets this processor has and this operating system lets us use, asked once per process.
#pragma once

namespace sketchfast::cpu {

struct CpuFeatures {
  bool avx2 = false;
  bool avx512_vpopcnt = false;  // AVX-512 F, BW, DQ, VL and VPOPCNTDQ
  bool avx512_vbmi = false;     // AVX-512 F, BW, DQ, VL and VBMI
  bool amx_int8 = false;  // the above, VBMI and BITALG, AMX-TILE and AMX-INT8, and leave to use the tile registers
};

// The first call asks Linux for leave to use the AMX tiles; a refusal (old kernel, sandbox) means amx_int8 is false.
const CpuFeatures& cpu_features();

}  // namespace sketchfast::cpu
