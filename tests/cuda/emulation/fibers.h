// How threads, barriers and grids are emulated, and what the drivers (emulation_<op>.cpp) read and write with.
//
// A driver is one translation unit: this header, then the .cu files of its op, then a main() that begins with begin(), runs
// the cases of standard input and ends with end(). tests/cuda/emulator.py compiles it and talks to it. Kernels declare
// their shared memory inside an anonymous namespace of sketchfast::cuda, hence the array here, and one unit per program.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "cuda_runtime.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)
#define ASAN_UNPOISON_MEMORY_REGION(start, size)
#endif

namespace sketchfast::cuda {
namespace {
constexpr size_t kSharedLimit = 227 * 1024;  // per block, on the largest device
alignas(16) unsigned char shared_memory[kSharedLimit];
}  // namespace
}  // namespace sketchfast::cuda

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

Device device;

namespace {

constexpr size_t kStack = 96 * 1024;
constexpr long long kIdleTurns = 1000000;

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

struct Block {
  std::vector<Fiber> fibers;
  unsigned index = 0;
  bool done = false;
  std::vector<unsigned char> shared;  // while another block has its turn
};

std::mt19937_64 random_bits;
std::map<const void*, size_t> shared_allowed;
std::vector<Block> blocks;
Block* turn = nullptr;
size_t running = 0;
const std::function<void()>* body = nullptr;
long long launches = 0, switches = 0;

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
  turn->fibers[running].done = true;
  yield(turn->fibers[running]);
}

void release_warp_operation(size_t first, size_t last, Wait kind, unsigned mask) {
  std::vector<Fiber>& fibers = turn->fibers;
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
      result = fibers[first + static_cast<size_t>(fiber.source)].value;
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
  uint64_t any = 0;
  for (const Fiber& fiber : turn->fibers) {
    if (fiber.done) continue;
    if (fiber.wait != Wait::barrier) return;
    any |= fiber.value;
  }
  for (Fiber& fiber : turn->fibers) {
    fiber.result = any;
    fiber.wait = Wait::none;
  }
}

// Runs the block whose turn it is until it ends, or until its threads wait for each other, some of them polling.
void run_block() {
  std::vector<Fiber>& fibers = turn->fibers;
  std::vector<size_t> ready;
  for (;;) {
    ready.clear();
    bool unfinished = false, polling = false;
    for (size_t i = 0; i < fibers.size(); ++i) {
      if (fibers[i].done) continue;
      unfinished = true;
      if (fibers[i].wait == Wait::none) ready.push_back(i);
      polling |= fibers[i].wait == Wait::pause;
    }
    turn->done = !unfinished;
    if (turn->done) return;
    if (ready.empty() && polling) {
      for (Fiber& fiber : fibers) {
        if (!fiber.done && fiber.wait == Wait::pause) fiber.wait = Wait::none;
      }
      return;  // nothing new to see before another block has had its turn
    }
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

void prepare(Block& block, unsigned index, size_t threads) {
  block.index = index;
  block.done = false;
  if (block.fibers.size() != threads) {
    block.fibers = std::vector<Fiber>(threads);
    for (Fiber& fiber : block.fibers) fiber.stack.reset(new char[kStack]);
  }
  for (Fiber& fiber : block.fibers) {
    fiber.done = fiber.started = false;
    fiber.wait = Wait::none;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
  }
}

// All blocks of a cooperative launch are under way at once.
void run_together(size_t threads, size_t shared) {
  using sketchfast::cuda::shared_memory;
  if (blocks.size() < gridDim.x) blocks.resize(gridDim.x);
  std::vector<size_t> unfinished;
  for (unsigned i = 0; i < gridDim.x; ++i) {
    prepare(blocks[i], i, threads);
    blocks[i].shared.resize(shared);
    fill_random(blocks[i].shared.data(), shared);
    unfinished.push_back(i);
  }
  for (long long turns = 0; !unfinished.empty(); ++turns) {
    if (turns > kIdleTurns) stop("blocks of a cooperative launch wait for each other, it seems for ever");
    const size_t drawn = random_bits() % unfinished.size();
    turn = &blocks[unfinished[drawn]];
    blockIdx.x = turn->index;
    std::copy(turn->shared.begin(), turn->shared.end(), shared_memory);
    run_block();
    std::copy(shared_memory, shared_memory + shared, turn->shared.begin());
    if (turn->done) unfinished.erase(unfinished.begin() + static_cast<std::ptrdiff_t>(drawn));
  }
}

}  // namespace

int lane() { return static_cast<int>(running % 32); }

void fill_random(unsigned char* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(random_bits());
}

uint64_t meet(Wait kind, unsigned mask, uint64_t value, int source) {
  Fiber& self = turn->fibers[running];
  const bool warp_wide = kind != Wait::barrier && kind != Wait::pause;
  if (warp_wide && !(mask >> lane() & 1)) stop("a lane is not in the mask it names");
  self.wait = kind;
  self.mask = mask;
  self.value = value;
  self.source = source;
  const size_t first = running / 32 * 32;
  if (kind == Wait::barrier) release_barrier();
  if (warp_wide) release_warp_operation(first, first + 32, kind, mask);
  yield(self);
  return self.result;
}

void allow_shared(const void* kernel, size_t bytes) {
  if (bytes > device.shared_per_block) stop("more shared memory than a block can have");
  shared_allowed[kernel] = bytes;
}

cudaError_t run_grid(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& kernel_body) {
  using sketchfast::cuda::shared_memory;
  const size_t allowed = std::max<size_t>(48 * 1024, shared_allowed[kernel]);
  const size_t shared = config.dynamicSmemBytes;
  const size_t threads = config.blockDim.x;
  if (shared > allowed || threads > 1024 || threads % 32 != 0) return cudaErrorInvalidConfiguration;
  ++launches;
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  body = &kernel_body;
  ASAN_UNPOISON_MEMORY_REGION(shared_memory, sizeof shared_memory);
  ASAN_POISON_MEMORY_REGION(shared_memory + shared, sizeof shared_memory - shared);
  if (config.numAttrs > 0 && config.attrs[0].val.cooperative != 0) {
    const int64_t resident = int64_t{device.multiprocessors} * device.blocks_per_multiprocessor;
    if (config.gridDim.x > resident) return cudaErrorInvalidConfiguration;
    run_together(threads, shared);
    return cudaSuccess;
  }
  std::vector<unsigned> order(config.gridDim.x);
  for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random_bits);
  if (blocks.empty()) blocks.resize(1);
  turn = &blocks[0];
  for (const unsigned block : order) {
    prepare(*turn, block, threads);
    blockIdx.x = block;
    fill_random(shared_memory, shared);
    for (long long turns = 0; !turn->done; ++turns) {
      if (turns > kIdleTurns) stop("a block waits for another that has not begun, it seems for ever");
      run_block();
    }
  }
  return cudaSuccess;
}

namespace {

// ---- for the drivers ----

// `size` bytes that end where the allocation ends, `offset` bytes past a 16-byte boundary, filled with random bytes.
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

// The next case's numbers, or false at the end of the input.
template <size_t n>
bool next_case(int64_t (&numbers)[n]) {
  return std::fread(numbers, sizeof(int64_t), n, stdin) == n;
}

void write(const Bytes& bytes) { std::fwrite(bytes.data, 1, bytes.size, stdout); }

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "emulation: a launch returned error %d\n", static_cast<int>(error));
  std::exit(4);
}

void begin() {
  int64_t seed = 0;
  read(&seed, sizeof seed);
  random_bits.seed(static_cast<uint64_t>(seed));
}

int end() {
  std::fprintf(stderr, "%lld launches, %lld resumptions\n", launches, switches);
  return 0;
}

}  // namespace
}  // namespace emulation
