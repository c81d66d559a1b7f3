// parallel_for over plain threads that live for one call.
//
// No pool on purpose: nothing survives the call, so a process may fork before, between and after calls (data loader
// workers do), and two libraries that both link this file share no state. Starting a thread costs about 20 us, so
// callers ask for few threads when the work is small (threads_for).
#pragma once

#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace sketchfast::cpu {

// 0 or less means every core this process may run on.
inline int resolve_threads(int num_threads) {
  if (num_threads > 0) return num_threads;
#ifdef __linux__
  cpu_set_t cores;
  // Fails where the machine has more cores than a cpu_set_t can hold.
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return std::max(1, CPU_COUNT(&cores));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// At most num_threads, and no more than give each thread `grain` units of work.
inline int threads_for(int num_threads, int64_t work, int64_t grain) {
  return static_cast<int>(std::clamp<int64_t>(work / grain, 1, resolve_threads(num_threads)));
}

// Calls body(task) once for every task in [0, num_tasks), from at most num_threads threads including the caller's.
// Tasks are handed out in order, one at a time. The first exception a task throws is rethrown here after all threads
// have ended; tasks not yet started by then are dropped.
template <class Body>
void parallel_for(int64_t num_tasks, int num_threads, const Body& body) {
  const int64_t threads = std::min<int64_t>(num_tasks, num_threads);
  if (threads <= 1) {
    for (int64_t task = 0; task < num_tasks; ++task) body(task);
    return;
  }
  std::atomic<int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&] {
    try {
      for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < num_tasks;) body(task);
    } catch (...) {
      next.store(num_tasks, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<size_t>(threads - 1));
  for (int64_t t = 1; t < threads; ++t) {
    try {
      others.emplace_back(work);
    } catch (const std::system_error&) {
      break;  // the system is out of threads: the ones that run share the work
    }
  }
  work();
  for (std::thread& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace sketchfast::cpu
