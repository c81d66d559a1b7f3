// Runs the kernels of csrc/cuda on the CPU over the cases of standard input; see cuda_runtime.h beside this file.
//
// In: int64 seed, then per case eleven int64 (operation, rows a, rows b, bytes or dtype, k or bits, byte offset of a, of b,
// and four of tuning: warps_wanted, groups_per_unit, pairs_worth_sampling, counts_bytes) and the bytes of a and b.
// Out: the outputs of every case. Arrays are allocated at their exact size, outputs and workspace filled with random bytes.
#include "cuda_runtime.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)
#define ASAN_UNPOISON_MEMORY_REGION(start, size)
#endif

namespace sketchfast::cuda {
namespace {
constexpr size_t kSharedLimit = 99 * 1024;  // per block, on the smallest of the devices of compute capability 8.0 and up
alignas(16) unsigned char shared_memory[kSharedLimit];
}  // namespace
}  // namespace sketchfast::cuda

#include "cuda/hamming_cdist.cu"
#include "cuda/hamming_topk.cu"
#include "cuda/hamming_walk.cu"
#include "cuda/pack_bits.cu"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
namespace {

constexpr size_t kStack = 96 * 1024;

struct Fiber {
  ucontext_t context;
  jmp_buf resume_here;
  bool started = false;
  std::unique_ptr<char[]> stack;
  bool done = false;
  Wait wait = Wait::none;
  unsigned mask = 0;
  uint64_t value = 0, result = 0;
  int source = 0;
};

std::mt19937_64 random_bits;
std::map<const void*, size_t> shared_allowed;
std::vector<Fiber> fibers;
size_t running = 0;
const std::function<void()>* body = nullptr;
long long launches = 0, switches = 0;

void fill_random(unsigned char* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(random_bits());
}

[[noreturn]] void stop(const char* what) {
  std::fprintf(stderr, "emulation: %s (block %u, thread %zu)\n", what, blockIdx.x, running);
  std::exit(3);
}

// swapcontext asks the kernel for the signal mask each time; _setjmp does not, but AddressSanitizer cannot follow it.
#if defined(__SANITIZE_ADDRESS__)
ucontext_t scheduler;
void resume(Fiber& fiber) { swapcontext(&scheduler, &fiber.context); }
void yield(Fiber& fiber) { swapcontext(&fiber.context, &scheduler); }
#else
jmp_buf scheduler_here;
__attribute__((noinline)) void resume(Fiber& fiber) {
  if (_setjmp(scheduler_here) != 0) return;
  if (fiber.started) _longjmp(fiber.resume_here, 1);
  fiber.started = true;
  setcontext(&fiber.context);
}
__attribute__((noinline)) void yield(Fiber& fiber) {
  if (_setjmp(fiber.resume_here) == 0) _longjmp(scheduler_here, 1);
}
#endif

void enter() {
  (*body)();
  fibers[running].done = true;
  yield(fibers[running]);
}

void release_warp_operation(size_t first, size_t last, Wait kind, unsigned mask) {
  for (size_t i = first; i < last; ++i) {
    if (!(mask >> (i - first) & 1)) continue;
    const Fiber& fiber = fibers[i];
    if (fiber.done) stop("a lane named in a mask has ended");
    if (fiber.wait != kind || fiber.mask != mask) return;  // not there yet
  }
  for (size_t i = first; i < last; ++i) {
    if (!(mask >> (i - first) & 1)) continue;
    Fiber& fiber = fibers[i];
    uint64_t result = 0;
    if (kind == Wait::shuffle) {
      if (!(mask >> fiber.source & 1)) stop("a shuffle reads a lane outside its mask");
      result = fibers[first + fiber.source].value;
    } else if (kind != Wait::sync) {
      for (size_t j = first; j < last; ++j) {
        if (!(mask >> (j - first) & 1)) continue;
        const uint64_t bit = uint64_t{1} << (j - first);
        if (kind == Wait::ballot) result |= fibers[j].value != 0 ? bit : 0;
        if (kind == Wait::match) result |= fibers[j].value == fiber.value ? bit : 0;
        if (kind == Wait::reduce_or) result |= fibers[j].value;
      }
    }
    fiber.result = result;
  }
  for (size_t i = first; i < last; ++i) {
    if (mask >> (i - first) & 1) fibers[i].wait = Wait::none;
  }
}

void release_barrier() {
  for (const Fiber& fiber : fibers) {
    if (!fiber.done && fiber.wait != Wait::barrier) return;
  }
  for (Fiber& fiber : fibers) fiber.wait = Wait::none;
}

void run_block() {
  std::vector<size_t> ready;
  for (;;) {
    ready.clear();
    bool waiting = false;
    for (size_t i = 0; i < fibers.size(); ++i) {
      if (fibers[i].done) continue;
      if (fibers[i].wait == Wait::none) ready.push_back(i);
      waiting = true;
    }
    if (!waiting) return;
    if (ready.empty()) {
      release_barrier();  // threads may have ended since the last one arrived
      if (std::any_of(fibers.begin(), fibers.end(), [](const Fiber& f) { return !f.done && f.wait == Wait::none; })) continue;
      stop("every thread waits for another");
    }
    std::shuffle(ready.begin(), ready.end(), random_bits);
    for (const size_t i : ready) {
      if (fibers[i].done || fibers[i].wait != Wait::none) continue;
      running = i;
      threadIdx.x = static_cast<unsigned>(i);
      ++switches;
      resume(fibers[i]);
    }
  }
}

}  // namespace

int lane() { return static_cast<int>(running % 32); }

uint64_t meet(Wait kind, unsigned mask, uint64_t value, int source) {
  Fiber& self = fibers[running];
  if (kind != Wait::barrier && !(mask >> lane() & 1)) stop("a lane is not in the mask it names");
  self.wait = kind;
  self.mask = mask;
  self.value = value;
  self.source = source;
  const size_t first = running / 32 * 32;
  if (kind == Wait::barrier) {
    release_barrier();
  } else {
    release_warp_operation(first, first + 32, kind, mask);
  }
  yield(self);
  return self.result;
}

void allow_shared(const void* kernel, size_t bytes) {
  if (bytes > sketchfast::cuda::kSharedLimit) stop("more shared memory than a block can have");
  shared_allowed[kernel] = bytes;
}

cudaError_t run_grid(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& kernel_body) {
  using sketchfast::cuda::shared_memory;
  const size_t allowed = std::max<size_t>(48 * 1024, shared_allowed[kernel]);
  const size_t shared = config.dynamicSmemBytes;
  if (shared > allowed || config.blockDim.x > 1024 || config.blockDim.x % 32 != 0) return cudaErrorInvalidConfiguration;
  ++launches;
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  body = &kernel_body;
  std::vector<unsigned> order(config.gridDim.x);
  for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random_bits);
  if (fibers.size() != config.blockDim.x) {
    fibers = std::vector<Fiber>(config.blockDim.x);
    for (Fiber& fiber : fibers) fiber.stack = std::make_unique<char[]>(kStack);
  }
  ASAN_UNPOISON_MEMORY_REGION(shared_memory, sizeof shared_memory);
  ASAN_POISON_MEMORY_REGION(shared_memory + shared, sizeof shared_memory - shared);
  for (const unsigned block : order) {
    blockIdx.x = block;
    fill_random(shared_memory, shared);
    for (Fiber& fiber : fibers) {
      fiber.done = fiber.started = false;
      fiber.wait = Wait::none;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = kStack;
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, enter, 0);
    }
    run_block();
  }
  return cudaSuccess;
}

namespace {

// `size` bytes that end where the allocation ends, `offset` bytes past a 16-byte boundary.
struct Bytes {
  std::unique_ptr<unsigned char, decltype(&std::free)> owner{nullptr, &std::free};
  unsigned char* data = nullptr;
  size_t size = 0;
  Bytes(size_t size_, size_t offset) : size(size_) {
    owner.reset(static_cast<unsigned char*>(std::malloc(size + offset)));
    data = owner.get() + offset;
    fill_random(data, size);
  }
};

void read(void* target, size_t size) {
  if (std::fread(target, 1, size, stdin) != size) stop("standard input ended early");
}

void write(const Bytes& bytes) { std::fwrite(bytes.data, 1, bytes.size, stdout); }

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "emulation: a launch returned error %d\n", static_cast<int>(error));
  std::exit(4);
}

template <class T>
void pack(int64_t rows, int64_t bits, size_t offset) {
  Bytes values(static_cast<size_t>(rows * bits) * sizeof(T), offset / sizeof(T) * sizeof(T));
  read(values.data, values.size);
  Bytes codes(static_cast<size_t>(rows * bits / 8), 0);
  check(sketchfast::cuda::pack_bits(reinterpret_cast<const T*>(values.data), rows, bits, codes.data, nullptr));
  write(codes);
}

}  // namespace
}  // namespace emulation

int main() {
  using namespace emulation;
  int64_t seed = 0;
  read(&seed, sizeof seed);
  random_bits.seed(static_cast<uint64_t>(seed));
  int64_t c[11];
  long long sampled = 0, rounds = 0;
  while (std::fread(c, sizeof(int64_t), 11, stdin) == 11) {
    const auto [operation, q, n, bytes, k, offset_a, offset_b, warps, groups, sampling, counts] = c;
    if (operation == 2) {
      const int64_t rows = q, dtype = bytes, bits = k;
      const size_t offset = static_cast<size_t>(offset_a);
      if (dtype == 0) pack<float>(rows, bits, offset);
      if (dtype == 1) pack<double>(rows, bits, offset);
      if (dtype == 2) pack<int8_t>(rows, bits, offset);
      if (dtype == 3) pack<uint8_t>(rows, bits, offset);
      if (dtype == 4) pack<sketchfast::BFloat16Bits>(rows, bits, offset);
      if (dtype == 5) pack<sketchfast::Float16Bits>(rows, bits, offset);
      continue;
    }
    Bytes queries(static_cast<size_t>(q * bytes), static_cast<size_t>(offset_a));
    Bytes database(static_cast<size_t>(n * bytes), static_cast<size_t>(offset_b));
    read(queries.data, queries.size);
    read(database.data, database.size);
    if (operation == 0) {
      sketchfast::cuda::HammingTuning tuning;
      tuning.warps_wanted = warps;
      tuning.groups_per_unit = groups;
      tuning.pairs_worth_sampling = sampling;
      tuning.counts_bytes = counts;
      Bytes distances(static_cast<size_t>(q * k) * 4, 0);
      Bytes ids(static_cast<size_t>(q * k) * 8, 0);
      Bytes workspace(sketchfast::cuda::hamming_topk_workspace(q, n, bytes, k, tuning), 0);
      check(sketchfast::cuda::hamming_topk(queries.data, q, database.data, n, bytes, k,
                                           reinterpret_cast<int32_t*>(distances.data), reinterpret_cast<int64_t*>(ids.data),
                                           workspace.data, nullptr, tuning));
      if (q > 0 && k > 0) {
        const auto plan = sketchfast::cuda::plan_hamming_topk(q, n, bytes, k,
                                                              sketchfast::cuda::vector_rows(database.data, bytes), tuning);
        sampled += plan.sample_step > 1;
        rounds += sketchfast::cuda::ceil_div(q, plan.query_batch);
      }
      write(distances);
      write(ids);
    } else {
      Bytes out(static_cast<size_t>(q * n) * (8 * bytes > 255 ? 2 : 1), 0);
      if (8 * bytes > 255) {
        check(sketchfast::cuda::hamming_cdist(queries.data, q, database.data, n, bytes,
                                              reinterpret_cast<int16_t*>(out.data), nullptr));
      } else {
        check(sketchfast::cuda::hamming_cdist(queries.data, q, database.data, n, bytes, out.data, nullptr));
      }
      write(out);
    }
  }
  std::fprintf(stderr, "%lld launches, %lld resumptions, %lld topk cases sampled, %lld rounds\n", launches, switches, sampled,
               rounds);
  return 0;
}
