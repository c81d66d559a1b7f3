// Thinning by sweeps, for one instruction set: a path's file defines what is listed under "The path provides" and includes
// this file once. Everything here has internal linkage, since it is compiled for other processors in each of them.
//
// Layout. A lane is 64 pixels of a row as bits: 48 of its own and 8 on either side that belong to its neighbours. A deletion
// reads one pixel to either side, so eight deletions can run on a lane alone, with plain shifts and no bits carried between
// words; only then are the borrowed pixels fetched again. A vector holds neighbouring lanes, a group is a column of vectors.
//
// Sweep. One iteration is one sweep down a group: a chain of stages, one a deletion. Rows go in at the top, and come out some
// rows later with every deletion applied. A stage keeps what its deletion needs of the row before and of the row itself, so
// each row is loaded and stored once an iteration. (For "thin" and "zhang", whose stages keep more than fits into registers,
// two or four iterations a sweep were slower.)
//
// Skipping. A deletion decides about a pixel as it did last time unless one of the 3x3 has changed since. So a pixel changes in
// a sweep only at the end of a chain of changes, one pixel a deletion, that begins with a change in the sweep before: at most
// eight pixels away and inside what the lane holds, borrowed pixels included. Rows that changed (a bit each, for each group)
// are therefore swept from one above them, where the cone of the stages covers the rows further up, to eight below; all
// others are skipped. The stages start from memory: no row they start from was changed by this sweep (see next_run).
//
// Cost of a step of "skel", one row of one group: 56 logical operations and shifts where they take two operands, 40 where they
// take three, and about 10 for the row's way in and out.
//
// The path provides, in an unnamed namespace inside sketchfast::cpu:
//   Vector          a GCC vector of uint64_t
//   any(v)          whether a bit is set
//   with_halos(v)   v with the borrowed pixels fetched from the other lanes of v; those at its two ends are left
//   stroke_bits(p, limit)     bit i: p[i] <= limit, for 64 bytes; its bytes in memory are in order of the pixels
//   lanes_of_bits(p)          from p, the first own pixels of a vector, a bit a pixel; may read one byte before p and 16 behind its end
//   store_bits_of_lanes(v, p) its inverse: writes the own pixels and up to 4 bytes behind them
//   expand(p, stroke, ground, out)    64 bytes, stroke where the bit of p is set, ground elsewhere
// and the macros SKETCHFAST_SKELETON_TARGET (not for the portable path), SKETCHFAST_PATH for functions that are called.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../math/skeletonize.h"
#include "skeletonize_task.h"

#define SKETCHFAST_PATH_INLINE SKETCHFAST_SKELETON_INLINE

namespace sketchfast::cpu {
namespace {

using skeleton::Row;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bits are read as bytes and as words");

constexpr int kLanes = static_cast<int>(sizeof(Vector) / sizeof(uint64_t));
constexpr int kHalo = 8;  // and at most so many deletions a sweep
constexpr int kOwn = 64 - 2 * kHalo;
constexpr int kOwnBytes = kOwn / 8;
constexpr uint64_t kOwnBits = ((uint64_t{1} << kOwn) - 1) << kHalo;
constexpr int kMaxDelay = 11;
constexpr int64_t kRowsAbove = kMaxDelay + 1;  // of zeros: the stages start from them
constexpr int64_t kRowsBelow = kMaxDelay;

SKETCHFAST_PATH_INLINE Vector load(const uint64_t* p) {
  Vector v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

SKETCHFAST_PATH_INLINE void store(uint64_t* p, Vector v) { std::memcpy(p, &v, sizeof(v)); }

SKETCHFAST_PATH_INLINE Row<Vector> row_of(Vector x) { return {x, x + x, x >> 1}; }

// Deletion K of "skel" on a stream of rows.
template <int K>
struct SkelStage {
  static constexpr int kDeletions = 1;
  Vector c;           // the row to delete from
  Vector allowed;     // what the row above and the row itself allow
  Vector above_next;  // what it allows as the row above the next one

  SKETCHFAST_PATH_INLINE void start(const Row<Vector>& a, const Row<Vector>& row) {
    c = row.x;
    allowed = skeleton::above<K>(a);
    if constexpr (skeleton::kHasCentre<K>) allowed &= skeleton::centre<K>(row);
    above_next = skeleton::above<K>(row);
  }

  SKETCHFAST_PATH_INLINE Vector step(Vector x) {
    const Row<Vector> b = row_of(x);
    const Vector left = c & ~(allowed & skeleton::below<K>(b));
    c = x;
    allowed = above_next;
    if constexpr (skeleton::kHasCentre<K>) allowed &= skeleton::centre<K>(b);
    above_next = skeleton::above<K>(b);
    return left;
  }
};

template <bool kZhang, int S>
struct SubiterationStage {
  static constexpr int kDeletions = 1;
  Row<Vector> a, c;

  SKETCHFAST_PATH_INLINE void start(const Row<Vector>& above, const Row<Vector>& row) {
    a = above;
    c = row;
  }

  SKETCHFAST_PATH_INLINE Vector step(Vector x) {
    const Row<Vector> b = row_of(x);
    Vector left;
    if constexpr (kZhang) {
      left = skeleton::after_zhang_suen<S>(a, c, b);
    } else {
      left = skeleton::after_guo_hall<S>(a, c, b);
    }
    a = c;
    c = b;
    return left;
  }
};

// Deletes nothing and gives each row back a step later, so that in one step the stages behind it do not wait for those before.
struct Pause {
  static constexpr int kDeletions = 0;
  Vector held;

  SKETCHFAST_PATH_INLINE void start(const Row<Vector>&, const Row<Vector>& row) { held = row.x; }

  SKETCHFAST_PATH_INLINE Vector step(Vector x) {
    const Vector before = held;
    held = x;
    return before;
  }
};

// The stages of a sweep, in order. Feeding a row completes the row kDelay above it.
template <class... Stages>
struct Chain {
  static constexpr int kDeletions = 0;
  static constexpr int kDelay = 0;
  SKETCHFAST_PATH_INLINE void start(const uint64_t*, int64_t) {}
  SKETCHFAST_PATH_INLINE Vector step(Vector x) { return x; }
};

template <class First, class... Rest>
struct Chain<First, Rest...> {
  static constexpr int kDeletions = First::kDeletions + Chain<Rest...>::kDeletions;
  static constexpr int kDelay = 1 + Chain<Rest...>::kDelay;
  First first;
  Chain<Rest...> rest;

  // next: the row that will be fed next.
  SKETCHFAST_PATH_INLINE void start(const uint64_t* next, int64_t stride) {
    first.start(row_of(load(next - 2 * stride)), row_of(load(next - stride)));
    rest.start(next - stride, stride);
  }

  SKETCHFAST_PATH_INLINE Vector step(Vector x) { return rest.step(first.step(x)); }
};

using SkelPass = Chain<SkelStage<1>, SkelStage<2>, Pause, SkelStage<3>, SkelStage<4>, Pause, SkelStage<5>, SkelStage<6>,
                       Pause, SkelStage<7>, SkelStage<8>>;
template <bool kZhang>
using Iteration = Chain<SubiterationStage<kZhang, 0>, SubiterationStage<kZhang, 1>>;

// One bit a row of a group.
class RowSet {
 public:
  explicit RowSet(int64_t height) : words_(static_cast<size_t>(height / 64 + 2), 0) {}

  void clear() { std::fill(words_.begin(), words_.end(), 0); }
  void add(int64_t row, bool present) {
    words_[static_cast<size_t>(row >> 6)] |= static_cast<uint64_t>(present) << (row & 63);
  }
  // Bit i: row + i.
  uint64_t from(int64_t row) const {
    const size_t word = static_cast<size_t>(row >> 6);
    const int shift = static_cast<int>(row & 63);
    return words_[word] >> shift | words_[word + 1] << 1 << (63 - shift);
  }
  // The first at or after `row`, or `height`.
  int64_t next(int64_t row, int64_t height) const {
    for (; row < height; row += 64) {
      if (const uint64_t bits = from(row)) return row + __builtin_ctzll(bits);
    }
    return height;
  }

 private:
  std::vector<uint64_t> words_;
};

// Rows to feed to a chain of `depth` stages, first to last.
struct Run {
  int64_t first;
  int64_t last;
};

// The next run that begins at or after changed row `first`. Feeding row f completes row f - delay, so a run goes on until the
// eighth row below its last changed one is complete; it takes in later changed rows that lie near. That is also what keeps
// runs apart: the first row that a later run starts from, delay + 1 above its first changed row, is below all that this one
// can change.
Run next_run(const RowSet& changed, int64_t first, int deletions, int delay, int64_t height) {
  const int reach = deletions + delay + 1;
  int64_t last = first;
  while (last + 1 < height) {
    const uint64_t near = changed.from(last + 1) << (64 - reach);
    if (near == 0) break;
    last += reach - __builtin_clzll(near);
  }
  return {first, std::min(last + deletions, height - 1) + delay};
}

class Thinning {
 public:
  Thinning(int64_t height, int64_t width)
      : height_(height),
        width_(width),
        lanes_((width + kOwn - 1) / kOwn),
        groups_((lanes_ + kLanes - 1) / kLanes),
        // One lane of zeros to the left of each row, which is also to the right of the row before.
        stride_(groups_ * kLanes + 1),
        bit_stride_(groups_ * kLanes * kOwnBytes + 16),
        bits_(static_cast<size_t>(height * bit_stride_ + 32), 0),
        memory_(static_cast<size_t>((height + kRowsAbove + kRowsBelow) * stride_ + 1), 0),
        changed_(static_cast<size_t>(groups_), RowSet(height)),
        changes_(static_cast<size_t>(groups_), RowSet(height)) {}

  SKETCHFAST_PATH void run(const SkeletonTask& task, const uint8_t* image, uint8_t* out) {
    pack(image, task.limit, task.above);
    bool changing = true;
    for (int64_t i = 0; changing && i != task.max_iter; ++i) {
      switch (task.method) {
        case SkeletonMethod::skel:
          changing = sweep<SkelPass>();
          break;
        case SkeletonMethod::thin:
          changing = sweep<Iteration<false>>();
          break;
        case SkeletonMethod::zhang:
          changing = sweep<Iteration<true>>();
          break;
      }
    }
    unpack(task.stroke, task.ground, out);
  }

 private:
  uint8_t* bits_of_row(int64_t r) { return bits_.data() + 16 + r * bit_stride_; }
  uint64_t* row(int64_t r) { return memory_.data() + (r + kRowsAbove) * stride_ + 1; }

  // Bytes to a bit a pixel, then to lanes, borrowed pixels included. Every row with stroke counts as changed. Whole image by
  // whole image, because a load of bytes that were stored in other pieces waits until they have left the store buffer.
  SKETCHFAST_PATH void pack(const uint8_t* image, uint8_t limit, bool above) {
    const uint64_t flip = above ? ~uint64_t{0} : 0;
    const int64_t height = height_, width = width_, groups = groups_, stride = stride_, bit_stride = bit_stride_;
    const int64_t whole = width / 64;
    const int64_t rest = width % 64;
    uint8_t* bits = bits_of_row(0);
    for (int64_t r = 0; r < height; ++r, image += width, bits += bit_stride) {
      for (int64_t w = 0; w < whole; ++w) {
        const uint64_t word = stroke_bits(image + 64 * w, limit) ^ flip;
        std::memcpy(bits + 8 * w, &word, sizeof(word));
      }
      if (rest > 0) {
        uint8_t tail[64];
        std::memcpy(tail, image + 64 * whole, static_cast<size_t>(rest));
        const uint64_t word = (stroke_bits(tail, limit) ^ flip) & ((uint64_t{1} << rest) - 1);
        std::memcpy(bits + 8 * whole, &word, sizeof(word));
      }
    }
    for (int64_t g = 0; g < groups; ++g) {
      const uint8_t* from = bits_of_row(0) + g * kLanes * kOwnBytes;
      uint64_t* to = row(0) + g * kLanes;
      RowSet& rows = changed_[static_cast<size_t>(g)];
      rows.clear();
      for (int64_t r = 0; r < height; ++r, from += bit_stride, to += stride) {
        const Vector lanes = lanes_of_bits(from);
        store(to, lanes);
        rows.add(r, any(lanes));
      }
    }
  }

  SKETCHFAST_PATH void unpack(uint8_t stroke, uint8_t ground, uint8_t* out) {
    const int64_t height = height_, width = width_, groups = groups_, stride = stride_, bit_stride = bit_stride_;
    const int64_t whole = width / 64;
    const int64_t rest = width % 64;
    // The last bytes of a group's lanes are stored before the first of the next, which may overwrite them.
    for (int64_t g = 0; g < groups; ++g) {
      const uint64_t* from = row(0) + g * kLanes;
      uint8_t* to = bits_of_row(0) + g * kLanes * kOwnBytes;
      for (int64_t r = 0; r < height; ++r, from += stride, to += bit_stride) store_bits_of_lanes(load(from), to);
    }
    const uint8_t* bits = bits_of_row(0);
    for (int64_t r = 0; r < height; ++r, out += width, bits += bit_stride) {
      for (int64_t w = 0; w < whole; ++w) expand(bits + 8 * w, stroke, ground, out + 64 * w);
      if (rest > 0) {
        uint8_t tail[64];
        expand(bits + 8 * whole, stroke, ground, tail);
        std::memcpy(out + 64 * whole, tail, static_cast<size_t>(rest));
      }
    }
  }

  template <class Stages>
  SKETCHFAST_PATH bool sweep() {
    for (int64_t g = 0; g < groups_; ++g) {
      RowSet& changes = changes_[static_cast<size_t>(g)];
      changes.clear();
      const RowSet& changed = changed_[static_cast<size_t>(g)];
      for (int64_t first = changed.next(0, height_); first < height_;) {
        const Run run = next_run(changed, first, Stages::kDeletions, Stages::kDelay, height_);
        sweep_run<Stages>(g, run, changes);
        first = changed.next(std::min(run.last + 1, height_), height_);
      }
    }
    bool any_change = false;
    for (const RowSet& changes : changes_) any_change |= changes.next(0, height_) < height_;
    for (int64_t g = 1; g < groups_; ++g) exchange(g);
    std::swap(changed_, changes_);
    return any_change;
  }

  template <class Stages>
  SKETCHFAST_PATH void sweep_run(int64_t g, Run run, RowSet& changes) {
    const Vector own = Vector{} + kOwnBits;
    const int64_t stride = stride_;
    uint64_t* p = row(run.first) + g * kLanes;
    Stages stages;
    stages.start(p, stride);
    for (int64_t f = run.first; f <= run.last; ++f, p += stride) {
      const Vector after = stages.step(load(p));
      uint64_t* done = p - Stages::kDelay * stride;
      const Vector before = load(done);
      const Vector deleted = before & ~after & own;
      store(done, with_halos(before ^ deleted));
      // Rows above the image hold nothing that could be deleted.
      changes.add(std::max<int64_t>(f - Stages::kDelay, 0), any(deleted));
    }
  }

  // Between groups g - 1 and g: the borrowed pixels of rows that changed in either.
  void exchange(int64_t g) {
    RowSet& left = changes_[static_cast<size_t>(g - 1)];
    RowSet& right = changes_[static_cast<size_t>(g)];
    for (int64_t r = 0; r < height_; r += 64) {
      for (uint64_t rows = left.from(r) | right.from(r); rows != 0; rows &= rows - 1) {
        const int64_t y = r + __builtin_ctzll(rows);
        uint64_t* lane = row(y) + g * kLanes;  // the first one of the right group
        const uint64_t to_left = (lane[-1] & ~(~uint64_t{0} << (64 - kHalo))) | lane[0] >> kHalo << (64 - kHalo);
        const uint64_t to_right = (lane[0] & ~uint64_t{0} << kHalo) | (lane[-1] >> kOwn & ((uint64_t{1} << kHalo) - 1));
        left.add(y, to_left != lane[-1]);
        right.add(y, to_right != lane[0]);
        lane[-1] = to_left;
        lane[0] = to_right;
      }
    }
  }

  const int64_t height_;
  const int64_t width_;
  const int64_t lanes_;
  const int64_t groups_;
  const int64_t stride_;
  const int64_t bit_stride_;
  std::vector<uint8_t> bits_;  // a bit a pixel, in rows of bytes; at least 16 bytes of zeros between rows
  std::vector<uint64_t> memory_;
  std::vector<RowSet> changed_;  // rows that differ from before the last sweep, of each group
  std::vector<RowSet> changes_;
};

SKETCHFAST_PATH void thin_images(const SkeletonTask& task) {
  Thinning thinning(task.height, task.width);
  const int64_t pixels = task.height * task.width;
  for (int64_t i = 0; i < task.num_images; ++i) {
    thinning.run(task, task.images + i * pixels, task.out + i * pixels);
  }
}

}  // namespace
}  // namespace sketchfast::cpu
