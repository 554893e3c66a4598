// What generated kernels are written over. No header is included, so that a kernel's text is all that the compiler
// reads. The first section is the machine's: whoever compiles this text for another machine defines
// LZ_MACHINE and gives the same names. Everything behind it is plain C++.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;
// Half floats are held as their bits.
typedef u16 f16;
typedef u16 bf16;

// What a run reports: 0 or the number of the first fault plus 1, the value and the bound it broke.
struct Status {
  u64 fault;
  i64 value;
  i64 bound;
};

#ifndef LZ_MACHINE
#define LZ_FUNCTION static __device__ __forceinline__
// With a word on how many blocks are to share a multiprocessor, the assembler knows how many registers there are. Without
// it, it aims at all threads that there may be and spills for it.
#define LZ_KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define LZ_TABLE static __device__ const
#define LZ_SHARED __shared__
#define LZ_ALL 0xffffffffu

LZ_FUNCTION u32 lz_thread() { return threadIdx.x; }
LZ_FUNCTION i64 lz_block() { return blockIdx.x; }
LZ_FUNCTION i64 lz_blocks() { return gridDim.x; }
LZ_FUNCTION void lz_block_barrier() { __syncthreads(); }
LZ_FUNCTION void lz_warp_barrier() { __syncwarp(); }
LZ_FUNCTION u32 lz_shuffle(u32 x, int lane) { return __shfl_xor_sync(LZ_ALL, x, lane); }
LZ_FUNCTION u64 lz_shuffle(u64 x, int lane) { return __shfl_xor_sync(LZ_ALL, x, lane); }
LZ_FUNCTION u32 lz_from_lane(u32 x, int lane) { return __shfl_sync(LZ_ALL, x, lane); }
LZ_FUNCTION u64 lz_from_lane(u64 x, int lane) { return __shfl_sync(LZ_ALL, x, lane); }
LZ_FUNCTION bool lz_claim(u64 *fault, u64 code) { return atomicCAS(fault, 0ull, code) == 0ull; }
// The same number, of which the compiler knows nothing.
LZ_FUNCTION u64 lz_hidden(u64 x) {
  asm("" : "+l"(x));
  return x;
}
LZ_FUNCTION u32 lz_bits(float x) { return __float_as_uint(x); }
LZ_FUNCTION u64 lz_bits(double x) { return (u64)__double_as_longlong(x); }
LZ_FUNCTION float lz_float(u32 x) { return __uint_as_float(x); }
LZ_FUNCTION double lz_float(u64 x) { return __longlong_as_double((i64)x); }
LZ_FUNCTION u64 lz_mul_high(u64 a, u64 b) { return __umul64hi(a, b); }
LZ_FUNCTION float lz_fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
LZ_FUNCTION double lz_fma(double a, double b, double c) { return __fma_rn(a, b, c); }
LZ_FUNCTION float lz_sqrt(float x) { return __fsqrt_rn(x); }
LZ_FUNCTION double lz_sqrt(double x) { return __dsqrt_rn(x); }
LZ_FUNCTION float lz_floor(float x) { return floorf(x); }
LZ_FUNCTION double lz_floor(double x) { return floor(x); }
LZ_FUNCTION float lz_round(float x) { return rintf(x); }
LZ_FUNCTION double lz_round(double x) { return rint(x); }
LZ_FUNCTION float lz_trunc(float x) { return truncf(x); }
LZ_FUNCTION double lz_trunc(double x) { return trunc(x); }
LZ_FUNCTION float lz_from_f16(u32 bits) {
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"((u16)bits));
  return x;
}
LZ_FUNCTION u32 lz_to_f16(float x) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
#endif

// Whether 0 <= x < bound. NVRTC 13.0 crashes over what it concludes from the range of some numbers in such conditions,
// so it is to know none; those that always hold are not written down in the first place.
LZ_FUNCTION bool lz_within(u64 x, u64 bound) { return lz_hidden(x) < bound; }

// The first fault of a run stays.
LZ_FUNCTION void lz_fault(Status *status, bool faulty, u64 code, i64 value, i64 bound) {
  if (faulty && lz_claim(&status->fault, code)) {
    status->value = value;
    status->bound = bound;
  }
}

LZ_FUNCTION float lz_from_bf16(u32 bits) { return lz_float(bits << 16); }
LZ_FUNCTION u32 lz_to_bf16(float x) {
  u32 bits = lz_bits(x);
  if (x != x) return (bits >> 16) | 0x40u;
  return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}
LZ_FUNCTION float lz_round_f16(float x) { return lz_from_f16(lz_to_f16(x)); }
LZ_FUNCTION float lz_round_bf16(float x) { return lz_from_bf16(lz_to_bf16(x)); }

// 2^(k/16) for the low four bits of x.
LZ_FUNCTION float lz_sixteenth_power(float x) {
  const float powers[16] = {
      1.0f, 1.0442737f, 1.0905077f, 1.1387886f, 1.1892071f, 1.2418578f,
      1.2968396f, 1.3542556f, 1.4142135f, 1.4768262f, 1.5422108f, 1.6104903f,
      1.6817929f, 1.7562522f, 1.8340081f, 1.9152066f};
  return powers[lz_bits(x) & 15u];
}

// Maxima and minima: the second operand unless the first is beyond it; the other two keep NaN.
template <class T> LZ_FUNCTION T lz_max(T a, T b) { return a > b ? a : b; }
template <class T> LZ_FUNCTION T lz_min(T a, T b) { return a < b ? a : b; }
template <class T> LZ_FUNCTION T lz_max_nan(T a, T b) { return a > b || a != a ? a : b; }
template <class T> LZ_FUNCTION T lz_min_nan(T a, T b) { return a < b || a != a ? a : b; }

LZ_FUNCTION u32 lz_mul_high(u32 a, u32 b) { return (u32)(((u64)a * b) >> 32); }
// The smallest number divided by -1 wraps; divisors are not 0.
LZ_FUNCTION u32 lz_div(u32 a, u32 b) { return b == ~0u ? 0u - a : (u32)((i32)a / (i32)b); }
LZ_FUNCTION u64 lz_div(u64 a, u64 b) { return b == ~0ull ? 0ull - a : (u64)((i64)a / (i64)b); }
LZ_FUNCTION u32 lz_rem(u32 a, u32 b) { return b == ~0u ? 0u : (u32)((i32)a % (i32)b); }
LZ_FUNCTION u64 lz_rem(u64 a, u64 b) { return b == ~0ull ? 0ull : (u64)((i64)a % (i64)b); }
// Shifts by any count.
LZ_FUNCTION u32 lz_shl(u32 a, u32 n) { return n > 31u ? 0u : a << n; }
LZ_FUNCTION u64 lz_shl(u64 a, u64 n) { return n > 63ull ? 0ull : a << n; }
LZ_FUNCTION u32 lz_shr(u32 a, u32 n) { return n > 31u ? 0u : a >> n; }
LZ_FUNCTION u64 lz_shr(u64 a, u64 n) { return n > 63ull ? 0ull : a >> n; }
LZ_FUNCTION u32 lz_sar(u32 a, u32 n) { return (u32)((i32)a >> (n > 31u ? 31u : n)); }
LZ_FUNCTION u64 lz_sar(u64 a, u64 n) { return (u64)((i64)a >> (n > 63ull ? 63ull : n)); }

// Twice: the first factor leaves a normal number, so only the second one rounds.
LZ_FUNCTION float lz_two_to(float n) { return lz_float((u32)((i32)n + 127) << 23); }
LZ_FUNCTION double lz_two_to(double n) { return lz_float((u64)((i64)n + 1023) << 52); }
template <class F> LZ_FUNCTION F lz_scale(F a, F n, F most) {
  F first = n > most ? most : n < -most ? -most : n;
  return a * lz_two_to(first) * lz_two_to(n - first);
}

// Towards zero, to the nearest number that there is, NaN to 0. The limits are powers of two, so every class has them.
template <class F> LZ_FUNCTION u32 lz_to_i32(F x) {
  if (x >= (F)2147483648.0) return 0x7fffffffu;
  if (x < (F)-2147483648.0) return 0x80000000u;
  return x == x ? (u32)(i32)x : 0u;
}
template <class F> LZ_FUNCTION u64 lz_to_i64(F x) {
  if (x >= (F)9223372036854775808.0) return 0x7fffffffffffffffull;
  if (x < (F)-9223372036854775808.0) return 0x8000000000000000ull;
  return x == x ? (u64)(i64)x : 0ull;
}

LZ_FUNCTION i64 lz_floor_div(i64 a, i64 b) {
  i64 q = a / b;
  return q * b > a ? q - 1 : q;
}
LZ_FUNCTION i64 lz_modulo(i64 a, i64 b) {
  i64 r = a % b;
  return r < 0 ? r + b : r;
}

// N elements at once, in pieces of up to 16 bytes where the address allows it.
struct alignas(16) LzPiece16 { u32 word[4]; };
struct alignas(8) LzPiece8 { u32 word[2]; };
template <int N, class T> LZ_FUNCTION void lz_read(T (&to)[N], const T *from) {
  if (N * sizeof(T) % 16 == 0 && (u64)from % 16 == 0) {
#pragma unroll
    for (int i = 0; i < (int)(N * sizeof(T) / 16); ++i) ((LzPiece16 *)to)[i] = ((const LzPiece16 *)from)[i];
  } else if (N * sizeof(T) == 8 && (u64)from % 8 == 0) {
    *(LzPiece8 *)to = *(const LzPiece8 *)from;
  } else if (N * sizeof(T) == 4 && (u64)from % 4 == 0) {
    *(u32 *)to = *(const u32 *)from;
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = from[i];
  }
}
template <int N, class T> LZ_FUNCTION void lz_write(T *to, const T (&from)[N]) {
  if (N * sizeof(T) % 16 == 0 && (u64)to % 16 == 0) {
#pragma unroll
    for (int i = 0; i < (int)(N * sizeof(T) / 16); ++i) ((LzPiece16 *)to)[i] = ((const LzPiece16 *)from)[i];
  } else if (N * sizeof(T) == 8 && (u64)to % 8 == 0) {
    *(LzPiece8 *)to = *(const LzPiece8 *)from;
  } else if (N * sizeof(T) == 4 && (u64)to % 4 == 0) {
    *(u32 *)to = *(const u32 *)from;
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = from[i];
  }
}

// A value of any class through the words that lanes exchange.
LZ_FUNCTION u32 lz_word(bool x) { return x; }
LZ_FUNCTION u32 lz_word(u32 x) { return x; }
LZ_FUNCTION u64 lz_word(u64 x) { return x; }
LZ_FUNCTION u32 lz_word(float x) { return lz_bits(x); }
LZ_FUNCTION u64 lz_word(double x) { return lz_bits(x); }
LZ_FUNCTION void lz_unword(bool &x, u32 w) { x = w != 0u; }
LZ_FUNCTION void lz_unword(u32 &x, u32 w) { x = w; }
LZ_FUNCTION void lz_unword(u64 &x, u64 w) { x = w; }
LZ_FUNCTION void lz_unword(float &x, u32 w) { x = lz_float(w); }
LZ_FUNCTION void lz_unword(double &x, u64 w) { x = lz_float(w); }

// The threads that share an outer point: one, a warp, a block, or a column of a block. All of them call these together.
struct LzOne {
  static const int SIZE = 1;
  LZ_FUNCTION void barrier() {}
  LZ_FUNCTION u32 rank() { return 0u; }
  template <class F, class T> LZ_FUNCTION T join(T x) { return x; }
  template <class T> LZ_FUNCTION T first(T x) { return x; }
};

struct LzWarp {
  static const int SIZE = 32;
  LZ_FUNCTION void barrier() { lz_warp_barrier(); }
  LZ_FUNCTION u32 rank() { return lz_thread() & 31u; }
  // Combines all threads' values in an order that depends on nothing; everyone gets the result.
  template <class F, class T> LZ_FUNCTION T join(T x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
      T other;
      lz_unword(other, lz_shuffle(lz_word(x), lane));
      // The lower lane's value stands first on both sides, so that all lanes agree to the bit.
      x = (lz_thread() & (u32)lane) ? F::of(other, x) : F::of(x, other);
    }
    return x;
  }
  // Combines each thread's value with those of all before it.
  template <class F, class T> LZ_FUNCTION T running(T x) {
    const u32 lane = rank();
#pragma unroll
    for (u32 step = 1; step < 32u; step *= 2u) {
      T other;
      lz_unword(other, lz_from_lane(lz_word(x), (int)((lane - step) & 31u)));
      if (lane >= step) x = F::of(other, x);
    }
    return x;
  }
  // The same behind what `total` combines, which becomes the last thread's.
  template <class F, class T> LZ_FUNCTION T scan(T x, T &total) {
    x = F::of(total, running<F>(x));
    lz_unword(total, lz_from_lane(lz_word(x), 31));
    return x;
  }
  // What the first thread has.
  template <class T> LZ_FUNCTION T first(T x) {
    T result;
    lz_unword(result, lz_from_lane(lz_word(x), 0));
    return result;
  }
};

template <int THREADS> struct LzBlock {
  static const int SIZE = THREADS;
  LZ_FUNCTION void barrier() { lz_block_barrier(); }
  LZ_FUNCTION u32 rank() { return lz_thread(); }
  template <class F, class T> LZ_FUNCTION T join(T x) {
    LZ_SHARED u64 parts[THREADS / 32];
    x = LzWarp::join<F>(x);
    lz_block_barrier();
    if (LzWarp::rank() == 0u) parts[lz_thread() / 32u] = lz_word(x);
    lz_block_barrier();
    lz_unword(x, parts[0]);
#pragma unroll
    for (int i = 1; i < THREADS / 32; ++i) {
      T other;
      lz_unword(other, parts[i]);
      x = F::of(x, other);
    }
    return x;
  }
  template <class F, class T> LZ_FUNCTION T scan(T x, T &total) {
    LZ_SHARED u64 parts[THREADS / 32];
    const u32 warp = lz_thread() / 32u;
    x = LzWarp::running<F>(x);
    lz_block_barrier();
    if (LzWarp::rank() == 31u) parts[warp] = lz_word(x);
    lz_block_barrier();
    T before = total;
#pragma unroll
    for (u32 i = 0; i < THREADS / 32; ++i) {
      T part;
      lz_unword(part, parts[i]);
      if (i < warp) before = F::of(before, part);
      total = F::of(total, part);
    }
    return F::of(before, x);
  }
  template <class T> LZ_FUNCTION T first(T x) {
    LZ_SHARED u64 part;
    lz_block_barrier();
    if (lz_thread() == 0u) part = lz_word(x);
    lz_block_barrier();
    lz_unword(x, part);
    return x;
  }
};

// Threads below one another in a block of 32 columns: a warp reads neighbouring points.
template <int THREADS> struct LzColumn {
  static const int SIZE = THREADS / 32;
  LZ_FUNCTION void barrier() { lz_block_barrier(); }
  LZ_FUNCTION u32 rank() { return lz_thread() / 32u; }
  template <class F, class T> LZ_FUNCTION T join(T x) {
    LZ_SHARED u64 parts[SIZE][32];
    const u32 column = lz_thread() % 32u;
    lz_block_barrier();
    parts[rank()][column] = lz_word(x);
    lz_block_barrier();
    lz_unword(x, parts[0][column]);
#pragma unroll
    for (int i = 1; i < SIZE; ++i) {
      T other;
      lz_unword(other, parts[i][column]);
      x = F::of(x, other);
    }
    return x;
  }
};
