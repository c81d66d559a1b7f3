// Thinning of bit-packed binary images as boolean algebra on words, for host and device.
//
// A word holds one bit a pixel (1 stroke, 0 background), a Row is a word of one image row together with its pixels' west
// and east neighbours, and the functions take the row above, the row itself and the row below. With pixel x in bit x, a
// word that needs no bits of its neighbours has west = x << 1 and east = x >> 1. A word is any type with & | ^ ~: unsigned
// integers, and vectors of them. Every deletion is parallel over all pixels: it reads rows none of which it has changed.
//
// "skel", bwmorph's 'skel': eight deletions a pass, in this order; 1 stroke, 0 background, x either:
//
//   k1 111  k2 x1x  k3 1x0  k4 x1x  k5 0x1  k6 x00  k7 000  k8 00x
//      x1x     011     110     110     011     110     x1x     011
//      000     00x     1x0     x00     0x1     x1x     111     x1x
//
//   No template ties a pixel of one row to a pixel of another, so each is a product of a function of the row above, one of
//   the row and one of the row below, which a sweep down the image computes once a row and keeps.
//
// "thin", bwmorph's 'thin': Guo and Hall, "Parallel thinning with two-subiteration algorithms" (1989), A1.
// "zhang": Zhang and Suen, "A fast parallel algorithm for thinning digital patterns" (1984), as scikit-image has it.
#pragma once

#if defined(__CUDACC__)
#define SKETCHFAST_SKELETON_INLINE __host__ __device__ __forceinline__
#elif defined(SKETCHFAST_SKELETON_TARGET)
// A CPU path with instructions beyond the baseline names them before it includes this file.
#define SKETCHFAST_SKELETON_INLINE __attribute__((target(SKETCHFAST_SKELETON_TARGET), always_inline)) inline
#else
#define SKETCHFAST_SKELETON_INLINE __attribute__((always_inline)) inline
#endif

namespace sketchfast::skeleton {

constexpr int kDeletions = 8;      // of a "skel" pass
constexpr int kSubiterations = 2;  // of a "thin" or "zhang" iteration

template <class Word>
struct Row {
  Word x;
  Word west;  // bit i: the pixel west of pixel i
  Word east;
};

// k1 and k7 ask nothing of the pixel's west and east neighbours.
template <int K>
constexpr bool kHasCentre = K != 1 && K != 7;

// Where the row above allows deletion K of the pixel below it.
template <int K, class Word>
SKETCHFAST_SKELETON_INLINE Word above(const Row<Word>& a) {
  static_assert(K >= 1 && K <= kDeletions);
  if constexpr (K == 1) return a.x & a.west & a.east;
  if constexpr (K == 2 || K == 4) return a.x;
  if constexpr (K == 3) return a.west & ~a.east;
  if constexpr (K == 5) return a.east & ~a.west;
  if constexpr (K == 6) return ~(a.x | a.east);
  if constexpr (K == 7) return ~(a.x | a.west | a.east);
  if constexpr (K == 8) return ~(a.x | a.west);
}

// Where the west and east neighbours allow it; not for k1 and k7.
template <int K, class Word>
SKETCHFAST_SKELETON_INLINE Word centre(const Row<Word>& c) {
  static_assert(kHasCentre<K>);
  if constexpr (K == 3 || K == 4 || K == 6) return c.west & ~c.east;
  if constexpr (K == 2 || K == 5 || K == 8) return c.east & ~c.west;
}

// Where the row below allows it.
template <int K, class Word>
SKETCHFAST_SKELETON_INLINE Word below(const Row<Word>& b) {
  static_assert(K >= 1 && K <= kDeletions);
  if constexpr (K == 1) return ~(b.x | b.west | b.east);
  if constexpr (K == 2) return ~(b.x | b.west);
  if constexpr (K == 3) return b.west & ~b.east;
  if constexpr (K == 4) return ~(b.x | b.east);
  if constexpr (K == 5) return b.east & ~b.west;
  if constexpr (K == 6 || K == 8) return b.x;
  if constexpr (K == 7) return b.x & b.west & b.east;
}

// The row after deletion K of a "skel" pass, 1 to 8.
template <int K, class Word>
SKETCHFAST_SKELETON_INLINE Word after_deletion(const Row<Word>& a, const Row<Word>& c, const Row<Word>& b) {
  if constexpr (kHasCentre<K>) {
    return c.x & ~(above<K>(a) & centre<K>(c) & below<K>(b));
  } else {
    return c.x & ~(above<K>(a) & below<K>(b));
  }
}

// Exactly one of four: an odd number of them, and no pair.
template <class Word>
SKETCHFAST_SKELETON_INLINE Word one_of_four(Word p, Word q, Word r, Word s) {
  return (p ^ q ^ r ^ s) & ~((p & q) | (r & s));
}

template <class Word>
SKETCHFAST_SKELETON_INLINE Word two_of_four(Word p, Word q, Word r, Word s) {
  return (p & q) | (r & s) | ((p | q) & (r | s));
}

// The row after subiteration 0 or 1 of a Guo-Hall iteration. With the neighbours numbered E, NE, N, NW, W, SW, S, SE:
// one crossing (G1), 2 <= min(n1, n2) <= 3 (G2), and the half plane of the subiteration (G3, G3').
template <int S, class Word>
SKETCHFAST_SKELETON_INLINE Word after_guo_hall(const Row<Word>& a, const Row<Word>& c, const Row<Word>& b) {
  static_assert(S == 0 || S == 1);
  const Word ne_n = a.east | a.x, nw_w = a.west | c.west, sw_s = b.west | b.x, se_e = b.east | c.east;
  const Word e_ne = c.east | a.east, n_nw = a.x | a.west, w_sw = c.west | b.west, s_se = b.x | b.east;
  const Word g1 = one_of_four<Word>(ne_n & ~c.east, nw_w & ~a.x, sw_s & ~c.west, se_e & ~b.x);
  const Word g2 = two_of_four(e_ne, n_nw, w_sw, s_se) & two_of_four(ne_n, nw_w, sw_s, se_e) &
                  ~((e_ne & n_nw & w_sw & s_se) & (ne_n & nw_w & sw_s & se_e));
  const Word kept_by_g3 = S == 0 ? (ne_n | ~b.east) & c.east : (sw_s | ~a.west) & c.west;
  return c.x & ~(g1 & g2 & ~kept_by_g3);
}

// The row after subiteration 0 or 1 of "zhang". Zhang and Suen delete where there is one transition from 0 to 1 around the
// pixel, where 2 to 6 neighbours are stroke, and in the half plane of the subiteration. scikit-image departs from that in
// 25 neighbourhoods (reference/skeletonize.py lists them): it also deletes corners of staircases, and it splits line ends
// of two pixels between the subiterations so that 2x2 squares survive. Two transitions that follow each other exclude one
// another, so eight of them are four words. `kept` is the least sum of products with that transition given; `corner` holds
// the staircases, which have two.
template <int S, class Word>
SKETCHFAST_SKELETON_INLINE Word after_zhang_suen(const Row<Word>& a, const Row<Word>& c, const Row<Word>& b) {
  static_assert(S == 0 || S == 1);
  const Word n = a.x, s = b.x, w = c.west, e = c.east, nw = a.west, ne = a.east, sw = b.west, se = b.east;
  const Word transition =
      one_of_four<Word>((ne & ~n) | (e & ~ne), (se & ~e) | (s & ~se), (sw & ~s) | (w & ~sw), (nw & ~w) | (n & ~nw));
  const Word only_w = w & ~e, only_e = e & ~w, only_n = n & ~s, only_s = s & ~n;
  if constexpr (S == 0) {
    const Word kept = (e & ((n & s) | (w & se & sw))) | (ne & nw & se & sw) | ~(e | n | sw) | ~(ne | nw | (se & sw));
    const Word corner =
        ~se & ((only_n & (only_w | (only_e & ~sw))) | (only_s & ~(ne | sw) & (only_w | (only_e & ~nw))));
    return c.x & ~((transition & ~kept) | corner);
  } else {
    const Word kept = (e & n & w) | (nw & sw & ((e & ne) | (n & s))) | ~(e | ne | sw) | ~(nw | s | se | w);
    const Word corner =
        ~nw & ((only_s & ((only_e & (sw | ~ne)) | (only_w & ~ne))) | (only_n & ~(ne | sw) & (only_e | (only_w & ~se))));
    return c.x & ~((transition & ~kept) | corner);
  }
}

}  // namespace sketchfast::skeleton
