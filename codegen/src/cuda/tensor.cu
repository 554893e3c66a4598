// What products of half floats are written over: tensor cores of compute capability 8.0 and newer. The first section is
// the machine's, as in the prelude.

#ifndef LZ_MACHINE
LZ_FUNCTION u32 lz_shared_place(const void *at) { return (u32)__cvta_generic_to_shared(at); }
// Sixteen bytes into shared memory, the first `bytes` of them from `from`, zeros behind them. They are there when their
// group has been waited for, and for other threads behind a barrier after that. Both places are multiples of 16.
LZ_FUNCTION void lz_copy_async(void *to, const void *from, u32 bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(lz_shared_place(to)), "l"(from), "r"(bytes)
               : "memory");
}
// What this thread has copied since the last group is a group.
LZ_FUNCTION void lz_copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for this thread's groups but the last N.
template <int N> LZ_FUNCTION void lz_copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
// Four matrices of eight rows of eight elements; lane l gives the place of row l % 8 of matrix l / 8, and gets elements
// l % 4 * 2 and the next one of row l / 4 of each, or the two elements there of its transpose.
template <bool TRANSPOSED> LZ_FUNCTION void lz_load_matrices(u32 (&to)[4], const void *row) {
  if (TRANSPOSED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(lz_shared_place(row)) : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(lz_shared_place(row)) : "memory");
  }
}
// A product of 16 by 16 and 16 by 8 elements, added to what a warp holds.
LZ_FUNCTION void lz_multiply_f16(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
LZ_FUNCTION void lz_multiply_bf16(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

struct LzF16 {
  LZ_FUNCTION void multiply(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) { lz_multiply_f16(sum, a, b0, b1); }
};
struct LzBF16 {
  LZ_FUNCTION void multiply(float (&sum)[4], const u32 (&a)[4], u32 b0, u32 b1) { lz_multiply_bf16(sum, a, b0, b1); }
};

// WIDTH rows or columns of an operand at 32 steps of the sums, in shared memory: one step beside the other (ALONG), or one
// row or column beside the other. Lines end in a margin of 16 bytes, so that eight of them lie in different banks.
template <int WIDTH, bool ALONG> struct LzPanel {
  static const int LINES = ALONG ? WIDTH : 32, LENGTH = ALONG ? 32 : WIDTH, PITCH = LENGTH + 8;
  static const int SIZE = LINES * PITCH;

  // Copies what lies at places `at(x, s)`, x from `first` on and s from `step` on, with zeros from `end` and from `steps`
  // on. Where `whole`, eight elements of a line lie one after the other at a multiple of 16 bytes. X and S hold numbers
  // somewhat beyond the extents.
  template <class At, class X, class S>
  LZ_FUNCTION void fill(u16 *to, const At &at, bool whole, X first, X end, S step, S steps) {
    if (whole) {
#pragma unroll
      for (int i = (int)lz_thread(); i < LINES * LENGTH / 8; i += 256) {
        const int line = i / (LENGTH / 8), place = i % (LENGTH / 8) * 8;
        const X x = first + (ALONG ? line : place);
        const S s = step + (ALONG ? place : line);
        const int left = ALONG ? (int)lz_min(steps - s, (S)8) : (int)lz_min(end - x, (X)8);
        const bool inside = x < end && s < steps;
        // Nothing is read from where nothing is.
        lz_copy_async(to + line * PITCH + place, at(x, s), inside ? (u32)left * 2u : 0u);
      }
    } else {
      // Large tiles have no registers left for more at a time.
#pragma unroll (WIDTH > 64 ? 2 : 8)
      for (int i = (int)lz_thread(); i < LINES * LENGTH; i += 256) {
        const int line = i / LENGTH, place = i % LENGTH;
        const X x = first + (ALONG ? line : place);
        const S s = step + (ALONG ? place : line);
        to[line * PITCH + place] = x < end && s < steps ? *at(x, s) : (u16)0;
      }
    }
  }

  // The 16 rows from `row` on of a left operand at the 16 steps from `step` on, as products take them.
  LZ_FUNCTION void rows(u32 (&to)[4], const u16 *panel, u32 row, u32 step) {
    const u32 lane = lz_thread() % 32u, half = lane / 8u % 2u * 8u, other = lane / 16u * 8u;
    if (ALONG) {
      lz_load_matrices<false>(to, panel + (row + lane % 16u) * PITCH + step + other);
    } else {
      lz_load_matrices<true>(to, panel + (step + other + lane % 8u) * PITCH + row + half);
    }
  }

  // The 16 columns from `column` on of a right operand, likewise: two words for the first eight, two for the others.
  LZ_FUNCTION void columns(u32 (&to)[4], const u16 *panel, u32 column, u32 step) {
    const u32 lane = lz_thread() % 32u, half = lane / 8u % 2u * 8u, other = lane / 16u * 8u;
    if (ALONG) {
      lz_load_matrices<false>(to, panel + (column + other + lane % 8u) * PITCH + step + half);
    } else {
      lz_load_matrices<true>(to, panel + (step + lane % 16u) * PITCH + column + other);
    }
  }
};

// A tile of a product by a block of eight warps, two of them down and four across. Panels are fetched while those before
// are multiplied.
template <class Kind, int ROWS, int COLUMNS, bool LEFT_ALONG, bool RIGHT_ALONG> struct LzTensor {
  typedef LzPanel<ROWS, LEFT_ALONG> Left;
  typedef LzPanel<COLUMNS, RIGHT_ALONG> Right;
  // Products of 16 by 8 elements that a warp holds.
  static const int DOWN = ROWS / 32, ACROSS = COLUMNS / 32;
  static const int STAGE = Left::SIZE + Right::SIZE;
  // As many as fit into the 48 KiB that every block may have, four at most.
  static const int STAGES = 49152 / (STAGE * 2) < 4 ? 49152 / (STAGE * 2) : 4;
  // What leaves the registers at a time: 16 rows of each warp.
  static const int PITCH = COLUMNS + 8;
  static const u32 PART = 32 * COLUMNS;
  static const int BYTES = STAGES * STAGE * 2 > 32 * PITCH * 4 ? STAGES * STAGE * 2 : 32 * PITCH * 4;
  static const int PIECES = BYTES / 16;
  typedef float Sums[DOWN][ACROSS][4];

  LZ_FUNCTION u32 down() { return lz_thread() / 32u % 2u * (ROWS / 2); }
  LZ_FUNCTION u32 across() { return lz_thread() / 64u * (COLUMNS / 4); }

  // The sums over all `steps` of the tile at `row` and `column`.
  template <class LeftAt, class RightAt, class M, class N, class K>
  LZ_FUNCTION void add(Sums &sum, LzPiece16 *shared, const LeftAt &left, bool left_whole, const RightAt &right,
                       bool right_whole, M row, M rows, N column, N columns, K steps) {
    u16 *const panels = (u16 *)shared;
    const K count = (steps + 31) / 32;
    auto fetch = [&](K n) {
      if (n < count) {
        u16 *const to = panels + (u32)n % STAGES * STAGE;
        Left::fill(to, left, left_whole, row, rows, n * 32, steps);
        Right::fill(to + Left::SIZE, right, right_whole, column, columns, n * 32, steps);
      }
      // A group for every panel, there or not, so that counting them is counting panels.
      lz_copy_commit();
    };
    // One loop for the first panels and the others: what fetches is long.
    for (K n = 1 - STAGES; n < count; ++n) {
      if (n >= 0) {
        lz_copy_wait<STAGES - 2>();
        // Now all threads' copies are there, and the panel that is overwritten next has been read.
        lz_block_barrier();
      }
      fetch(n + STAGES - 1);
      if (n >= 0) multiply(sum, panels + (u32)n % STAGES * STAGE);
    }
    lz_block_barrier();
  }

  LZ_FUNCTION void multiply(Sums &sum, const u16 *panel) {
#pragma unroll
    for (u32 step = 0; step < 32u; step += 16u) {
      u32 a[DOWN][4], b[ACROSS / 2][4];
#pragma unroll
      for (int i = 0; i < DOWN; ++i) Left::rows(a[i], panel, down() + i * 16u, step);
#pragma unroll
      for (int j = 0; j < ACROSS / 2; ++j) Right::columns(b[j], panel + Left::SIZE, across() + j * 16u, step);
#pragma unroll
      for (int i = 0; i < DOWN; ++i)
#pragma unroll
        for (int j = 0; j < ACROSS; ++j) Kind::multiply(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }

  // Lays a part of the sums down, in rows.
  LZ_FUNCTION void lay(const Sums &sum, LzPiece16 *shared, int part) {
    const u32 lane = lz_thread() % 32u, row = lz_thread() / 32u % 2u * 16u + lane / 4u;
    float *const to = (float *)shared + row * PITCH + across() + lane % 4u * 2u;
#pragma unroll
    for (int i = 0; i < DOWN; ++i) {
      if (i != part) continue;
#pragma unroll
      for (int j = 0; j < ACROSS; ++j) {
        to[j * 8] = sum[i][j][0];
        to[j * 8 + 1] = sum[i][j][1];
        to[j * 8 + 8 * PITCH] = sum[i][j][2];
        to[j * 8 + 8 * PITCH + 1] = sum[i][j][3];
      }
    }
  }
  // Element `i` of a part: its row and column in the tile, and the sum.
  LZ_FUNCTION u32 row(u32 i, int part) { return i / COLUMNS / 16u * (ROWS / 2) + part * 16u + i / COLUMNS % 16u; }
  LZ_FUNCTION u32 column(u32 i) { return i % COLUMNS; }
  LZ_FUNCTION float sum_of(const LzPiece16 *shared, u32 i) {
    return ((const float *)shared)[i / COLUMNS * PITCH + i % COLUMNS];
  }
};
