// Soft-weighted loss: the pass over labels, the windows, and the division of the work; blocks of pixels go to the path's
// kernel (soft_weighted_loss_simd.h).
//
// Work is cut into strips of whole rows, at least 8 rows and about 4096 pixels, by the shape alone. A strip turns its labels
// (and those of the row above and below) into classes, finds the pixels whose window holds more than one class, and sums
// its loss in double; sums are added in the order of the strips. So the bits do not depend on the number of threads.
// sum_p alpha is exact arithmetic on counts: a histogram of classes, then one dot product.
#include "soft_weighted_loss.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>

#include "cpu_features.h"
#include "parallel.h"
#include "soft_weighted_loss_block.h"

namespace sketchfast::cpu {
namespace {

constexpr int64_t kStripPixels = 4096;
constexpr int64_t kStripRows = 8;
constexpr int64_t kLabelTask = 1 << 15;  // labels a task of the counting pass
constexpr int64_t kScaleTask = 1 << 16;  // values a task of scale()
constexpr int64_t kByteClasses = 255;    // up to this many classes fit into bytes beside kNoByte
constexpr uint8_t kNoByte = 255;

// Neighbours mostly have one label, and a run of equal labels costs one addition.
template <class Label>
void count_labels(const Label* labels, int64_t count, const LossRule& rule, int64_t* counts) {
  int64_t run = 0;
  Label previous = count > 0 ? labels[0] : Label(0);
  const auto add = [&](Label label, int64_t times) {
    if (static_cast<int64_t>(label) != rule.ignore_index) counts[static_cast<int64_t>(label)] += times;
  };
  for (int64_t p = 0; p < count; ++p) {
    if (labels[p] == previous) {
      ++run;
    } else {
      add(previous, run);
      previous = labels[p];
      run = 1;
    }
  }
  if (run > 0) add(previous, run);
}

template <class Label>
bool any_wrong(const Label* labels, int64_t count, const LossShape& shape, const LossRule& rule) {
  bool wrong = false;
  for (int64_t p = 0; p < count; ++p) wrong |= labelled_wrongly(labels[p], shape.classes, rule.ignore_index);
  return wrong;
}

// Classes of the pixels of a strip, and which of them have a window of more than one class.
struct Strip {
  std::vector<int32_t> own;     // rows * W
  std::vector<uint8_t> mixed;   // rows * W
  std::vector<SoftLabel> soft;  // of the mixed pixels, in order
};

// counted_class of the pixels of a strip, of the row above and below and of the columns beside: (rows + 2) * (W + 2) cells. Up
// to 255 classes fit into bytes; there and in wider cells, all bits set mean kNoClass.
template <class Cell>
int class_in(Cell cell) {
  return cell == static_cast<Cell>(kNoClass) ? kNoClass : static_cast<int>(cell);
}

template <class Cell, class Label>
void fill_counted(const Label* labels, int64_t first_row, int64_t rows, const LossShape& shape, const LossRule& rule,
                  std::vector<Cell>& counted) {
  const int64_t width = shape.width;
  const int64_t background = rule.background;
  constexpr Cell kNone = static_cast<Cell>(kNoClass);
  counted.assign(static_cast<size_t>((rows + 2) * (width + 2)), kNone);
  for (int64_t y = -1; y <= rows; ++y) {
    if (first_row + y < 0 || first_row + y >= shape.height) continue;
    const Label* from = labels + y * width;
    Cell* to = counted.data() + (y + 1) * (width + 2) + 1;
    for (int64_t x = 0; x < width; ++x) {
      const bool nothing = (from[x] == rule.ignore_index) | (from[x] == background);
      to[x] = nothing ? kNone : static_cast<Cell>(from[x]);
    }
  }
}

// One-hot windows are most of an image. The smallest class of a window, with "nothing" as 255, and the largest, with
// "nothing" as 0, tell: a pixel is one-hot exactly where both are its own class. Adding 1 turns 255 into that 0.
void find_mixed(const std::vector<uint8_t>& counted, int64_t rows, int64_t width, std::vector<uint8_t>& mixed) {
  const int64_t padded = width + 2;
  std::vector<uint8_t> column_low(static_cast<size_t>(padded));
  std::vector<uint8_t> column_high(static_cast<size_t>(padded));  // largest class + 1
  for (int64_t y = 0; y < rows; ++y) {
    const uint8_t* const top = counted.data() + y * padded;
    const uint8_t* const middle = top + padded;
    const uint8_t* const bottom = middle + padded;
    for (int64_t x = 0; x < padded; ++x) {
      column_low[x] = std::min({top[x], middle[x], bottom[x]});
      const auto high = [](uint8_t cell) { return static_cast<uint8_t>(cell + 1); };
      column_high[x] = std::max({high(top[x]), high(middle[x]), high(bottom[x])});
    }
    uint8_t* out = mixed.data() + y * width;
    for (int64_t x = 0; x < width; ++x) {
      const uint8_t own = middle[x + 1];
      const uint8_t least = std::min({column_low[x], column_low[x + 1], column_low[x + 2]});
      const uint8_t most = std::max({column_high[x], column_high[x + 1], column_high[x + 2]});
      out[x] = (own != kNoByte) & ((least != own) | (most != static_cast<uint8_t>(own + 1)));
    }
  }
}
void find_mixed(const std::vector<int32_t>& counted, int64_t rows, int64_t width, std::vector<uint8_t>& mixed) {
  for (int64_t y = 0; y < rows; ++y) {
    const int32_t* middle = counted.data() + (y + 1) * (width + 2) + 1;
    for (int64_t x = 0; x < width; ++x) mixed[y * width + x] = middle[x] != kNoClass;
  }
}

template <class Cell, class Label>
void soften(const Label* labels, int64_t first_row, int64_t rows, const LossShape& shape, const LossRule& rule,
            Strip& strip) {
  const int64_t padded = shape.width + 2;
  std::vector<Cell> counted;
  fill_counted(labels, first_row, rows, shape, rule, counted);
  find_mixed(counted, rows, shape.width, strip.mixed);
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t x = 0; x < shape.width; ++x) {
      if (!strip.mixed[y * shape.width + x]) continue;
      const Cell* const corner = counted.data() + y * padded + x;
      int window[kWindowPixels];
      for (int q = 0; q < kWindowPixels; ++q) window[q] = class_in(corner[q / 3 * padded + q % 3]);
      if (shape.classes <= kPackedClasses) {
        uint64_t counts = 0;
        for (const int counted_as : window) counts += packed_one(counted_as);
        strip.soft.push_back(soft_label(counts));
      } else {
        strip.soft.push_back(soft_label(window));
      }
    }
  }
}

template <class Label>
void read_strip(const Label* image, int64_t first_row, int64_t rows, const LossShape& shape, const LossRule& rule,
                Strip& strip) {
  const int64_t pixels = rows * shape.width;
  const Label* labels = image + first_row * shape.width;
  strip.own.resize(static_cast<size_t>(pixels));
  strip.mixed.assign(static_cast<size_t>(pixels), 0);
  for (int64_t p = 0; p < pixels; ++p) strip.own[p] = own_class(labels[p], rule.ignore_index);
  if (!rule.soft) return;
  if (shape.classes <= kByteClasses) {
    soften<uint8_t>(labels, first_row, rows, shape, rule, strip);
  } else {
    soften<int32_t>(labels, first_row, rows, shape, rule, strip);
  }
}

bool has_avx2_and_fma() {
#if defined(__x86_64__) && defined(__linux__)
  return cpu_features().avx2 && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

LossPath best_path() {
  static const LossPath best = cpu_features().avx512_vpopcnt ? LossPath::avx512
                               : has_avx2_and_fma()          ? LossPath::avx2
                                                             : LossPath::portable;
  return best;
}

template <class T>
double run_block(LossPath path, const LossBlock<T>& block) {
  switch (path) {
    case LossPath::avx512:
      return loss_avx512::loss_block(block);
    case LossPath::avx2:
      return loss_avx2::loss_block(block);
    default:
      return loss_portable::loss_block(block);
  }
}

float scaled(float value, double factor) { return value * static_cast<float>(factor); }
double scaled(double value, double factor) { return value * factor; }
BFloat16Bits scaled(BFloat16Bits value, double factor) {
  uint32_t bits = static_cast<uint32_t>(value.raw) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof(wide));
  wide *= static_cast<float>(factor);
  std::memcpy(&bits, &wide, sizeof(bits));
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded)};
}

}  // namespace

bool loss_path_available(LossPath path) {
  switch (path) {
    case LossPath::avx512:
      return cpu_features().avx512_vpopcnt;
    case LossPath::avx2:
      return has_avx2_and_fma();
    default:
      return true;
  }
}

const char* loss_path_name(LossPath path) {
  switch (path == LossPath::automatic ? best_path() : path) {
    case LossPath::avx512:
      return "avx512";
    case LossPath::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

template <class Label>
LabelWeight label_weight(const Label* labels, const LossShape& shape, const LossRule& rule, int num_threads) {
  const int64_t pixels = shape.batch * shape.height * shape.width;
  const int64_t tasks = (pixels + kLabelTask - 1) / kLabelTask;
  std::vector<int64_t> counts(static_cast<size_t>(shape.classes));
  int64_t wrong_at = -1;
  std::mutex mutex;
  parallel_for(tasks, threads_for(num_threads, tasks, 4), [&](int64_t task) {
    const int64_t first = task * kLabelTask;
    const int64_t count = std::min(kLabelTask, pixels - first);
    const Label* here = labels + first;
    if (any_wrong(here, count, shape, rule)) {
      const auto is_wrong = [&](Label label) { return labelled_wrongly(label, shape.classes, rule.ignore_index); };
      const int64_t at = first + (std::find_if(here, here + count, is_wrong) - here);
      const std::lock_guard<std::mutex> lock(mutex);
      wrong_at = wrong_at < 0 ? at : std::min(wrong_at, at);
      return;
    }
    std::vector<int64_t> own(counts.size());
    count_labels(here, count, rule, own.data());
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t c = 0; c < own.size(); ++c) counts[c] += own[c];
  });
  double total = 0;
  for (size_t c = 0; c < counts.size(); ++c) total += static_cast<double>(counts[c]) * rule.class_weights[c];
  return {total, wrong_at};
}

template <class T, class Label>
double soft_weighted_loss(const T* logits, const Label* labels, const LossShape& shape, const LossRule& rule,
                          double total_weight, double factor, T* gradient, int num_threads, LossPath path) {
  using A = Accumulator<T>;
  const int64_t plane = shape.height * shape.width;
  const int64_t values = shape.batch * shape.classes * plane;
  if (total_weight == 0) {
    if (gradient != nullptr && values > 0)
      std::memset(static_cast<void*>(gradient), 0, static_cast<size_t>(values) * sizeof(T));
    return 0;
  }
  if (path == LossPath::automatic) path = best_path();
  std::vector<A> loss_weight(rule.class_weights.begin(), rule.class_weights.end());
  std::vector<A> gradient_weight;
  for (const double alpha : rule.class_weights)
    gradient_weight.push_back(static_cast<A>(alpha * factor / total_weight));

  const int64_t rows = std::max(kStripRows, kStripPixels / shape.width);
  const int64_t strips = (shape.height + rows - 1) / rows;
  const int64_t tasks = shape.batch * strips;
  std::vector<double> sums(static_cast<size_t>(tasks));
  parallel_for(tasks, threads_for(num_threads, values, kStripPixels * 16), [&](int64_t task) {
    const int64_t n = task / strips;
    const int64_t first_row = task % strips * rows;
    const int64_t here = std::min(rows, shape.height - first_row);
    Strip strip;
    read_strip(labels + n * plane, first_row, here, shape, rule, strip);
    // Rows that begin with a cache line: 16 elements are at least 64 bytes.
    std::vector<A> memory(static_cast<size_t>(loss_scratch_size(shape.classes) + 16));
    A* const scratch = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64 / sizeof(A);
    const int64_t step = loss_block_pixels(shape.classes);
    const SoftLabel* soft = strip.soft.data();
    double sum = 0;
    for (int64_t p = 0; p < here * shape.width; p += step) {
      const int64_t offset = n * shape.classes * plane + first_row * shape.width + p;
      LossBlock<T> block;
      block.logits = logits + offset;
      block.gradient = gradient == nullptr ? nullptr : gradient + offset;
      block.plane = plane;
      block.classes = shape.classes;
      block.pixels = std::min(step, here * shape.width - p);
      block.own = strip.own.data() + p;
      block.mixed = strip.mixed.data() + p;
      block.soft = soft;
      block.loss_weight = loss_weight.data();
      block.gradient_weight = gradient_weight.data();
      block.scratch = scratch;
      sum += run_block(path, block);
      for (int64_t b = 0; b < block.pixels; ++b) soft += block.mixed[b];
    }
    sums[static_cast<size_t>(task)] = sum;
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum / total_weight;
}

template <class T>
void scale(T* values, int64_t count, double factor, int num_threads) {
  if (factor == 1) return;
  const int64_t tasks = (count + kScaleTask - 1) / kScaleTask;
  parallel_for(tasks, threads_for(num_threads, tasks, 4), [&](int64_t task) {
    const int64_t first = task * kScaleTask;
    const int64_t here = std::min(kScaleTask, count - first);
    for (int64_t p = first; p < first + here; ++p) values[p] = scaled(values[p], factor);
  });
}
template void scale<float>(float*, int64_t, double, int);
template void scale<double>(double*, int64_t, double, int);
template void scale<BFloat16Bits>(BFloat16Bits*, int64_t, double, int);

#define SKETCHFAST_FOR_LABEL(Label)                                                               \
  template LabelWeight label_weight<Label>(const Label*, const LossShape&, const LossRule&, int); \
  SKETCHFAST_FOR_LOGITS(float, Label)                                                             \
  SKETCHFAST_FOR_LOGITS(double, Label)                                                            \
  SKETCHFAST_FOR_LOGITS(BFloat16Bits, Label)                                                      \
  SKETCHFAST_FOR_LOGITS(Float16Bits, Label)
#define SKETCHFAST_FOR_LOGITS(T, Label)                                                                           \
  template double soft_weighted_loss<T, Label>(const T*, const Label*, const LossShape&, const LossRule&, double, \
                                               double, T*, int, LossPath);
SKETCHFAST_FOR_LABEL(uint8_t)
SKETCHFAST_FOR_LABEL(int8_t)
SKETCHFAST_FOR_LABEL(int16_t)
SKETCHFAST_FOR_LABEL(int32_t)
SKETCHFAST_FOR_LABEL(int64_t)

}  // namespace sketchfast::cpu
