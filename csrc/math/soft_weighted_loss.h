// The arithmetic of one pixel of the soft-weighted loss (Zheng et al., DeepSSP, eqs. 5-11), for host and device.
//
//   f_j      = pixels of class j in the 3x3 window around the pixel, itself included; background, ignored pixels and
//              places outside the image count as nothing (eq. 7; f_0 = 0)
//   lambda_j = f_j / sum_k f_k; one-hot at the pixel's own class i where i is the background or soft is false
//   loss     = alpha_i * (logsumexp(x) - sum_j lambda_j x_j)                                                   (eq. 6)
//   d loss / d x_c = alpha_i * (softmax(x)_c - lambda_c)
//
// A window holds at most nine classes, so lambda is never an array of C: it is a list of up to nine (class, count), or,
// for at most 16 classes, one 64-bit word with the count of class j in nibble j (nine fits into four bits).
#pragma once

#include <cstdint>

#include "hamming.h"  // SKETCHFAST_HOST_DEVICE, BFloat16Bits, Float16Bits

namespace sketchfast {

constexpr int kNoClass = -1;
constexpr int kWindowPixels = 9;
constexpr int kPackedClasses = 16;  // classes whose counts fit into the nibbles of one word

// What the loss of a pixel is taken for: its class, or kNoClass where it is ignored. ignore_index wins over a class of
// the same number. A label that is neither has to be dealt with before (labelled_wrongly).
SKETCHFAST_HOST_DEVICE inline int own_class(int64_t label, int64_t ignore_index) {
  return label == ignore_index ? kNoClass : static_cast<int>(label);
}

SKETCHFAST_HOST_DEVICE inline bool labelled_wrongly(int64_t label, int64_t num_classes, int64_t ignore_index) {
  return label != ignore_index && static_cast<uint64_t>(label) >= static_cast<uint64_t>(num_classes);
}

// What a pixel counts as in the windows of its neighbours and its own: kNoClass for background and ignored pixels.
SKETCHFAST_HOST_DEVICE inline int counted_class(int own, int background) { return own == background ? kNoClass : own; }

// --- at most kPackedClasses classes: windows are sums of words, so sums of columns can be shared by neighbours.

SKETCHFAST_HOST_DEVICE inline uint64_t packed_one(int counted) {
  return counted == kNoClass ? 0 : uint64_t{1} << (4 * counted);
}
SKETCHFAST_HOST_DEVICE inline int packed_count(uint64_t counts, int j) {
  return static_cast<int>(counts >> (4 * j)) & 15;
}
// f_0 + ... + f_15, at most nine.
SKETCHFAST_HOST_DEVICE inline int packed_total(uint64_t counts) {
  const uint64_t bytes = (counts & 0x0f0f0f0f0f0f0f0full) + ((counts >> 4) & 0x0f0f0f0f0f0f0f0full);
  return static_cast<int>((bytes * 0x0101010101010101ull) >> 56);
}

// --- any number of classes: the distinct classes of a window, in the order in which they are met.

struct SoftLabel {
  int classes[kWindowPixels];
  int counts[kWindowPixels];
  int distinct = 0;
  int total = 0;
};

// counted: counted_class of the nine pixels, kNoClass outside the image.
SKETCHFAST_HOST_DEVICE inline SoftLabel soft_label(const int (&counted)[kWindowPixels]) {
  SoftLabel label;
  for (int q = 0; q < kWindowPixels; ++q) {
    if (counted[q] == kNoClass) continue;
    ++label.total;
    int k = 0;
    while (k < label.distinct && label.classes[k] != counted[q]) ++k;
    if (k == label.distinct) {
      label.classes[k] = counted[q];
      label.counts[k] = 0;
      ++label.distinct;
    }
    ++label.counts[k];
  }
  return label;
}

SKETCHFAST_HOST_DEVICE inline int lowest_bit(uint64_t bits) {
#if defined(__CUDA_ARCH__)
  return __ffsll(static_cast<long long>(bits)) - 1;
#else
  return __builtin_ctzll(bits);
#endif
}

// The same of packed counts, in the order of the classes.
SKETCHFAST_HOST_DEVICE inline SoftLabel soft_label(uint64_t counts) {
  SoftLabel label;
  label.total = packed_total(counts);
  uint64_t met = (counts | counts >> 1 | counts >> 2 | counts >> 3) & 0x1111111111111111ull;
  for (; met != 0; met &= met - 1) {
    const int j = lowest_bit(met) / 4;
    label.classes[label.distinct] = j;
    label.counts[label.distinct] = packed_count(counts, j);
    ++label.distinct;
  }
  return label;
}

// f_j without a list, for loops over j with the window in registers.
SKETCHFAST_HOST_DEVICE inline int count_in_window(const int (&counted)[kWindowPixels], int j) {
  int count = 0;
  for (int q = 0; q < kWindowPixels; ++q) count += counted[q] == j;
  return count;
}

}  // namespace sketchfast
