// The part of CUDA that csrc/cuda uses, on the CPU, so that the kernels' own source text can run where there is no GPU.
//
// Every CUDA thread of a block is a fiber. A fiber runs until it reaches a barrier or a warp-wide operation; then another
// fiber, drawn at random, goes on. So the order of threads between two synchronising calls differs from run to run, and a
// missing one shows as a wrong result. A wait that can never end (a divergent barrier, a lane missing from a mask) aborts.
// Blocks run one after the other, in random order, with shared memory full of random bytes.
//
// Not emulated: memory ordering, atomics between running blocks, registers, speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorInvalidConfiguration = 9 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
typedef struct CUstream_st* cudaStream_t;
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned x_) : x(x_) {}
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

enum class Wait { none, barrier, sync, ballot, match, reduce_or, shuffle };

// Waits for the other threads named, with a value to exchange, and returns what the hardware would.
uint64_t meet(Wait kind, unsigned mask, uint64_t value, int source_lane);
int lane();
void allow_shared(const void* kernel, size_t bytes);
cudaError_t run_grid(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& body);

}  // namespace emulation

inline void __syncthreads() { emulation::meet(emulation::Wait::barrier, 0, 0, 0); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulation::meet(emulation::Wait::sync, mask, 0, 0); }
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  return static_cast<unsigned>(emulation::meet(emulation::Wait::ballot, mask, vote, 0));
}
inline unsigned __match_any_sync(unsigned mask, int value) {
  return static_cast<unsigned>(emulation::meet(emulation::Wait::match, mask, static_cast<uint64_t>(value), 0));
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
  return static_cast<unsigned>(emulation::meet(emulation::Wait::reduce_or, mask, value, 0));
}
inline long long __shfl_sync(unsigned mask, long long value, int source) {
  return static_cast<long long>(
      emulation::meet(emulation::Wait::shuffle, mask, static_cast<uint64_t>(value), source));
}
inline long long __shfl_up_sync(unsigned mask, long long value, unsigned offset) {
  const int source = emulation::lane() - static_cast<int>(offset);
  return __shfl_sync(mask, value, source < 0 ? emulation::lane() : source);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T>
T __ldg(const T* address) {
  if (reinterpret_cast<uintptr_t>(address) % sizeof(T) != 0) __builtin_trap();  // a GPU faults on a misaligned load
  return *address;
}
inline unsigned atomicAdd(unsigned* address, unsigned value) {
  const unsigned before = *address;
  *address += value;
  return before;
}

template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute, int bytes) {
  emulation::allow_shared(reinterpret_cast<const void*>(kernel), static_cast<size_t>(bytes));
  return cudaSuccess;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A... arguments) {
  return emulation::run_grid(*config, reinterpret_cast<const void*>(kernel), [=] { kernel(arguments...); });
}
