// Exact Hamming search and packing on the CPU, over raw pointers.
//
// Codes are rows of `bytes` = bits / 8 contiguous bytes, 1..128, at any alignment. Every path and every thread count
// gives the same bits. num_threads <= 0 means every core. Callers check their arguments; nothing here does.
#pragma once

#include <cstdint>

#include "../math/hamming.h"

namespace sketchfast::cpu {

enum class HammingPath { automatic, portable, avx2, avx512_vpopcnt, amx_int8 };

// Whether this process can run the path: the processor has it and, for AMX, Linux lets us use it.
bool hamming_path_available(HammingPath path);
const char* hamming_path_name(HammingPath path);

// For each query the k nearest codes, ordered by (distance, id): of equal distances the smallest ids win.
// distances [num_queries, k], ids [num_queries, k]; 1 <= k <= num_database is the caller's duty.
void hamming_topk(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                  int64_t bytes, int64_t k, int32_t* distances, int64_t* ids, int num_threads,
                  HammingPath path = HammingPath::automatic);

// All distances, out [num_queries, num_database]; the uint8 form needs codes of at most 255 bits.
void hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                   int64_t bytes, uint8_t* out, int num_threads, HammingPath path = HammingPath::automatic);
void hamming_cdist(const uint8_t* queries, int64_t num_queries, const uint8_t* database, int64_t num_database,
                   int64_t bytes, int16_t* out, int num_threads, HammingPath path = HammingPath::automatic);

// codes [rows, bits / 8]: bit = value > 0, the first value in the lowest bit; bits is a multiple of 8.
// T: float, double, int8_t, uint8_t (also bool), BFloat16Bits, Float16Bits.
template <class T>
void pack_bits(const T* values, int64_t rows, int64_t bits, uint8_t* codes, int num_threads);

}  // namespace sketchfast::cpu
