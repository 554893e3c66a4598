// A processor that plays the GPU: the machine's section of the prelude for any C++ compiler.
//
// A block's threads are contexts of their own that hand over to each other where they wait: at barriers and at the
// exchanges of a warp. A block runs until all its threads are done, then the next one does. Warps run as far as they can,
// one after the other, forward or backward, or take turns at random, and so do the threads of a warp; what depends on the
// order shows. Threads that wait
// for others that never come, or at different places, stop the process with a message. What is copied asynchronously arrives
// when it is waited for (forward), at once (backward), or one or the other (random).
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define LZ_MACHINE
#define LZ_FUNCTION static inline
#ifndef LZ_KERNEL
#define LZ_KERNEL(threads, blocks) static void
#endif
#define LZ_TABLE static const
#define LZ_SHARED static

namespace shim {

enum State { READY, AT_BLOCK, AT_WARP, DONE };
const int MOST_THREADS = 1024;
const size_t STACK = 64 * 1024;

struct Thread {
  void *stack_pointer;
  State state;
};

static Thread threads[MOST_THREADS];
static char *stacks;
static void *scheduler;

// A piece under way to shared memory.
struct Copy {
  void *to;
  const void *from;
  unsigned bytes;
  int group;
};
// What a thread has under way, and how many groups it has closed.
struct Copies {
  Copy pending[64];
  int count, groups;
};
static Copies copies[MOST_THREADS];
// What lanes of a warp take to a product or a load together.
static unsigned fragments[MOST_THREADS][6];
static const void *rows[MOST_THREADS];

static int current, thread_count;
static long long block, block_count;
// What lanes of a warp offer each other.
static unsigned long long offers[MOST_THREADS];
static void (*body)(void *);
static void *argument;
static int order;
static unsigned random_state;

extern "C" void shim_switch(void **save, void *load);
asm(R"(.text
.globl shim_switch
.type shim_switch,@function
shim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");

[[noreturn]] static void fail(const char *what) {
  fprintf(stderr, "emulated GPU: %s (block %lld, thread %d)\n", what, block, current);
  abort();
}

static void wait_as(State state) {
  threads[current].state = state;
  shim_switch(&threads[current].stack_pointer, scheduler);
}

static void enter() {
  body(argument);
  wait_as(DONE);
  fail("a finished thread was resumed");
}

static void start(int thread) {
  // As if it had called shim_switch: a return address below six registers, at an aligned stack.
  void **top = (void **)(stacks + (thread + 1) * STACK - 64);
  *--top = nullptr;
  *--top = (void *)&enter;
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  threads[thread].stack_pointer = top;
  threads[thread].state = READY;
  copies[thread].count = copies[thread].groups = 0;
}

static unsigned next_random() {
  random_state = random_state * 1664525u + 1013904223u;
  return random_state >> 8;
}

static void arrive(const Copy &copy) {
  memset(copy.to, 0, 16);
  memcpy(copy.to, copy.from, copy.bytes);
}

static void copy_async(void *to, const void *from, unsigned bytes) {
  if (bytes > 16 || (size_t)to % 16 != 0 || (bytes > 0 && (size_t)from % 16 != 0)) fail("a piece is not in place");
  Copies &own = copies[current];
  if (own.count == 64) fail("too many copies are under way");
  Copy copy = {to, from, bytes, own.groups};
  bool at_once = order == 1 || (order == 2 && next_random() % 2u == 0);
  if (at_once) arrive(copy);
  // Either way it has to be waited for.
  own.pending[own.count++] = copy;
}

// Pieces of all groups but the last `left` arrive, in any order.
static void copy_wait(int left) {
  Copies &own = copies[current];
  for (int i = own.count; i > 1; --i) {
    int j = next_random() % (unsigned)i;
    Copy copy = own.pending[i - 1];
    own.pending[i - 1] = own.pending[j];
    own.pending[j] = copy;
  }
  int kept = 0;
  for (int i = 0; i < own.count; ++i) {
    if (own.pending[i].group < own.groups - left) arrive(own.pending[i]);
    else own.pending[kept++] = own.pending[i];
  }
  own.count = kept;
}

// Runs every thread of a warp that is ready once, and lets them go on if all of them wait for each other then.
static bool turn(int warp) {
  int turns[32];
  for (int i = 0; i < 32; ++i) turns[i] = warp + (order == 1 ? 31 - i : i);
  if (order == 2)
    for (int i = 31; i > 0; --i) {
      int j = next_random() % (unsigned)(i + 1), t = turns[i];
      turns[i] = turns[j];
      turns[j] = t;
    }
  bool any = false;
  int waiting = 0;
  for (int i = 0; i < 32; ++i) {
    current = turns[i];
    if (threads[current].state == READY) {
      any = true;
      shim_switch(&scheduler, threads[current].stack_pointer);
    }
    waiting += threads[current].state == AT_WARP;
  }
  if (waiting == 32)
    for (int i = warp; i < warp + 32; ++i) threads[i].state = READY;
  return any;
}

// Lets all go on if all of them wait for the block.
static bool release() {
  int waiting = 0;
  for (int i = 0; i < thread_count; ++i) waiting += threads[i].state == AT_BLOCK;
  if (waiting != thread_count) return false;
  for (int i = 0; i < thread_count; ++i) threads[i].state = READY;
  return true;
}

static void run_block() {
  for (int i = 0; i < thread_count; ++i) start(i);
  const int warps = thread_count / 32;
  for (;;) {
    bool ran = false;
    if (order == 2)
      for (int i = 0; i < warps; ++i) ran |= turn(next_random() % (unsigned)warps * 32);
    for (int i = 0; i < warps && (order != 2 || !ran); ++i) {
      const int warp = (order == 1 ? warps - 1 - i : i) * 32;
      while (turn(warp)) ran = true;
    }
    int done = 0;
    for (int i = 0; i < thread_count; ++i) done += threads[i].state == DONE;
    if (done == thread_count) return;
    bool released = release();
    if (!ran && !released) fail("threads wait for others that do not come");
  }
}

template <class Body> static void launch(long long blocks, int count, Body run) {
  if (stacks == nullptr) stacks = (char *)malloc(STACK * MOST_THREADS);
  thread_count = count;
  block_count = blocks;
  body = [](void *run) { (*(Body *)run)(); };
  argument = &run;
  for (block = 0; block < blocks; ++block) {
    random_state = (unsigned)block * 977u + 1u;
    run_block();
  }
}

template <class T> static T exchange(T x, int lane) {
  offers[current] = 0;
  memcpy(&offers[current], &x, sizeof x);
  wait_as(AT_WARP);
  T result;
  memcpy(&result, &offers[current / 32 * 32 + lane], sizeof x);
  // Nobody offers anew before all have taken.
  wait_as(AT_WARP);
  return result;
}

template <class Half> static void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Half value) {
  const unsigned offered[6] = {a[0], a[1], a[2], a[3], b0, b1};
  memcpy(fragments[current], offered, sizeof offered);
  wait_as(AT_WARP);
  const int warp = current / 32 * 32, lane = current % 32;
  // Element (row, column) of each operand lies in the lane and the word that the instruction's definition says.
  auto left = [&](int row, int step) {
    unsigned word = fragments[warp + row % 8 * 4 + step % 8 / 2][row / 8 + step / 8 * 2];
    return value(word >> step % 2 * 16 & 0xffffu);
  };
  auto right = [&](int step, int column) {
    unsigned word = fragments[warp + column * 4 + step % 8 / 2][4 + step / 8];
    return value(word >> step % 2 * 16 & 0xffffu);
  };
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
    for (int step = 0; step < 16; ++step) sum[i] = __builtin_fmaf(left(row, step), right(step, column), sum[i]);
  }
  // Nobody offers anew before all have taken.
  wait_as(AT_WARP);
}

static void load_matrices(unsigned (&to)[4], const void *row, bool transposed) {
  if ((size_t)row % 16 != 0) fail("a row of a matrix is not in place");
  rows[current] = row;
  wait_as(AT_WARP);
  const int warp = current / 32 * 32, lane = current % 32;
  for (int matrix = 0; matrix < 4; ++matrix) {
    unsigned word = 0;
    for (int i = 0; i < 2; ++i) {
      const int major = transposed ? lane % 4 * 2 + i : lane / 4, minor = transposed ? lane / 4 : lane % 4 * 2 + i;
      word |= (unsigned)((const unsigned short *)rows[warp + matrix * 8 + major])[minor] << i * 16;
    }
    to[matrix] = word;
  }
  wait_as(AT_WARP);
}

}  // namespace shim

static inline unsigned lz_thread() { return (unsigned)shim::current; }
static inline long long lz_block() { return shim::block; }
static inline long long lz_blocks() { return shim::block_count; }
static inline void lz_block_barrier() { shim::wait_as(shim::AT_BLOCK); }
static inline void lz_warp_barrier() { shim::wait_as(shim::AT_WARP); }
template <class T> static inline T lz_shuffle(T x, int lane) {
  return shim::exchange(x, (shim::current & 31) ^ lane);
}
template <class T> static inline T lz_from_lane(T x, int lane) { return shim::exchange(x, lane); }
static inline bool lz_claim(unsigned long long *fault, unsigned long long code) {
  if (*fault != 0) return false;
  *fault = code;
  return true;
}
static inline unsigned long long lz_hidden(unsigned long long x) { return x; }
static inline unsigned lz_bits(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof x);
  return bits;
}
static inline unsigned long long lz_bits(double x) {
  unsigned long long bits;
  memcpy(&bits, &x, sizeof x);
  return bits;
}
static inline float lz_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static inline double lz_float(unsigned long long bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static inline unsigned long long lz_mul_high(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline float lz_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline double lz_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
static inline float lz_sqrt(float x) { return __builtin_sqrtf(x); }
static inline double lz_sqrt(double x) { return __builtin_sqrt(x); }
static inline float lz_floor(float x) { return __builtin_floorf(x); }
static inline double lz_floor(double x) { return __builtin_floor(x); }
static inline float lz_round(float x) { return __builtin_rintf(x); }
static inline double lz_round(double x) { return __builtin_rint(x); }
static inline float lz_trunc(float x) { return __builtin_truncf(x); }
static inline double lz_trunc(double x) { return __builtin_trunc(x); }

static inline float lz_from_f16(unsigned bits) {
  unsigned sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 0) {
    float tiny = (float)fraction * 5.9604644775390625e-8f;
    return lz_float(lz_bits(tiny) | sign);
  }
  if (exponent == 31) return lz_float(sign | 0x7f800000u | fraction << 13);
  return lz_float(sign | (exponent + 112u) << 23 | fraction << 13);
}
static inline unsigned lz_to_f16(float x) {
  unsigned bits = lz_bits(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) {
    // A multiple of the smallest number; adding and taking away a large one rounds to it.
    float count = lz_float(magnitude) * 16777216.0f;
    return sign | (unsigned)__builtin_rintf(count);
  }
  unsigned rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return sign | ((rounded >> 13) - (112u << 10));
}
static inline void lz_copy_async(void *to, const void *from, unsigned bytes) { shim::copy_async(to, from, bytes); }
static inline void lz_copy_commit() { ++shim::copies[shim::current].groups; }
template <int N> static inline void lz_copy_wait() { shim::copy_wait(N); }
template <bool TRANSPOSED> static inline void lz_load_matrices(unsigned (&to)[4], const void *row) {
  shim::load_matrices(to, row, TRANSPOSED);
}
static inline void lz_multiply_f16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  shim::multiply(sum, a, b0, b1, lz_from_f16);
}
static inline void lz_multiply_bf16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  shim::multiply(sum, a, b0, b1, [](unsigned bits) { return lz_float(bits << 16); });
}
