// The part of CUDA that csrc/cuda uses, on the CPU, so that the kernels' own source text can run where there is no GPU.
//
// Every CUDA thread of a block is a fiber. A fiber runs until it reaches a barrier or a warp-wide operation; then another
// fiber, drawn at random, goes on. So the order of threads between two synchronising calls differs from run to run, and a
// missing one shows as a wrong result. A wait that can never end (a divergent barrier, a lane missing from a mask) aborts.
// Blocks run one after the other, in random order, with shared memory full of random bytes; the blocks of a cooperative
// launch take turns at random and may wait for each other, polling with __nanosleep. How all that works: fibers.h.
//
// Shared memory has to be dynamic (extern __shared__ unsigned char shared_memory[], inside the kernel).
// Not emulated: memory ordering, registers, speed.
#pragma once

#include <math.h>  // in the global namespace, as in device code

#include <algorithm>
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
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount, cudaDevAttrMaxSharedMemoryPerBlockOptin };
enum cudaLaunchAttributeID { cudaLaunchAttributeCooperative };
typedef struct CUstream_st* cudaStream_t;
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned x_) : x(x_) {}
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    int cooperative;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

enum class Wait { none, pause, barrier, sync, ballot, match, reduce_or, shuffle };

// What device code is told about the device; a driver may change it between cases.
struct Device {
  int multiprocessors = 3;
  int blocks_per_multiprocessor = 1;     // of any kernel: what the occupancy calculation answers
  size_t shared_per_block = 99 * 1024;  // on the smallest of the devices of compute capability 8.0 and up
};
extern Device device;

// Waits for the other threads named, with a value to exchange, and returns what the hardware would.
uint64_t meet(Wait kind, unsigned mask, uint64_t value, int source_lane);
int lane();
void allow_shared(const void* kernel, size_t bytes);
cudaError_t run_grid(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& body);
void fill_random(unsigned char* bytes, size_t size);

template <class T>
T shuffle(unsigned mask, T value, int source) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) >= 4 && sizeof(T) <= 8, "what CUDA has shuffles for");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = meet(Wait::shuffle, mask, bits, source);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace emulation

inline void __syncthreads() { emulation::meet(emulation::Wait::barrier, 0, 0, 0); }
inline int __syncthreads_or(int predicate) {
  return static_cast<int>(emulation::meet(emulation::Wait::barrier, 0, predicate != 0, 0));
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulation::meet(emulation::Wait::sync, mask, 0, 0); }
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  return static_cast<unsigned>(emulation::meet(emulation::Wait::ballot, mask, vote, 0));
}
inline int __any_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) == mask; }
inline unsigned __match_any_sync(unsigned mask, int value) {
  return static_cast<unsigned>(emulation::meet(emulation::Wait::match, mask, static_cast<uint64_t>(value), 0));
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
  return static_cast<unsigned>(emulation::meet(emulation::Wait::reduce_or, mask, value, 0));
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source) {
  return emulation::shuffle(mask, value, source % 32);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned offset) {
  const int source = emulation::lane() - static_cast<int>(offset);
  return emulation::shuffle(mask, value, source < 0 ? emulation::lane() : source);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned offset) {
  const int source = emulation::lane() + static_cast<int>(offset);
  return emulation::shuffle(mask, value, source > 31 ? emulation::lane() : source);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int other) {
  return emulation::shuffle(mask, value, emulation::lane() ^ other);
}
inline int min(int a, int b) { return std::min(a, b); }
inline int max(int a, int b) { return std::max(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline float __expf(float x) { return expf(x); }
inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<uint64_t>(high) << 32 | low) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>((static_cast<uint64_t>(high) << 32 | low) >> (shift & 31));
}
template <class T>
T __ldg(const T* address) {
  if (reinterpret_cast<uintptr_t>(address) % sizeof(T) != 0) __builtin_trap();  // a GPU faults on a misaligned load
  return *address;
}
template <class T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address += value;
  return before;
}
template <class T>
T atomicOr(T* address, T value) {
  const T before = *address;
  *address |= value;
  return before;
}
inline void __threadfence() {}
inline void __nanosleep(unsigned) { emulation::meet(emulation::Wait::pause, 0, 0, 0); }

template <class... P>
cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute, int bytes) {
  emulation::allow_shared(reinterpret_cast<const void*>(kernel), static_cast<size_t>(bytes));
  return cudaSuccess;
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int* ordinal) {
  *ordinal = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? emulation::device.multiprocessors
                                                       : static_cast<int>(emulation::device.shared_per_block);
  return cudaSuccess;
}
template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void (*)(P...), int, size_t) {
  *blocks = emulation::device.blocks_per_multiprocessor;
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t) {
  std::memset(target, value, bytes);
  return cudaSuccess;
}
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A... arguments) {
  return emulation::run_grid(*config, reinterpret_cast<const void*>(kernel), [=] { kernel(arguments...); });
}
