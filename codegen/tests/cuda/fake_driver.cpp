// A CUDA driver whose devices are this processor: modules are libraries of emulated kernels, memory is the host's, MEMORY
// bytes for all devices together. Any function can be told to fail. With IDLE, kernels compute nothing.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <malloc.h>
#include <mutex>
#include <unistd.h>

typedef unsigned long long Pointer;

static char failing[64];
static int failure;
static std::atomic<long> held;
static std::atomic<size_t> used;
#ifndef MEMORY
#define MEMORY (1u << 24)
#endif
#ifndef DEVICES
#define DEVICES 1
#endif
static int devices = DEVICES;
static int version = 13000;

extern "C" {

void fake_fail(const char *function, int code) {
  snprintf(failing, sizeof failing, "%s", function);
  failure = code;
}
void fake_devices(int count) { devices = count; }
void fake_version(int number) { version = number; }
long fake_held() { return held; }

#define FAIL(function) \
  if (strcmp(failing, function) == 0) return failure

int cuInit(unsigned) { FAIL("cuInit"); return 0; }
int cuDriverGetVersion(int *to) { *to = version; return 0; }
int cuDeviceGetCount(int *to) { FAIL("cuDeviceGetCount"); *to = devices; return 0; }
int cuDeviceGet(int *to, int number) { FAIL("cuDeviceGet"); *to = number; return 0; }
int cuDeviceGetName(char *to, int length, int number) {
  snprintf(to, length, "emulated device %d", number);
  return 0;
}
int cuDeviceGetAttribute(int *to, int attribute, int) {
  *to = attribute == 75 ? 9 : attribute == 76 ? 0 : 1;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **to, int) { FAIL("cuDevicePrimaryCtxRetain"); *to = &held; return 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void *) { FAIL("cuCtxSetCurrent"); return 0; }
int cuDeviceGetDefaultMemPool(void **to, int) { *to = &devices; return 0; }
int cuMemPoolSetAttribute(void *, int, void *) { return 0; }
int cuMemGetInfo_v2(size_t *left, size_t *all) { *left = MEMORY - used; *all = MEMORY; return 0; }
int cuStreamCreate(void **to, unsigned) { FAIL("cuStreamCreate"); *to = &failure; return 0; }
int cuStreamDestroy_v2(void *) { return 0; }
int cuStreamSynchronize(void *) { FAIL("cuStreamSynchronize"); return 0; }
#ifndef WITHOUT_POOLS
int cuMemAllocAsync(Pointer *to, size_t bytes, void *) {
  FAIL("cuMemAllocAsync");
  if (bytes > MEMORY - used) return 2;
  void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
  // What was there before.
  memset(memory, 0xff, bytes);
  *to = (Pointer)memory;
  used += malloc_usable_size(memory);
  held += 1;
  return 0;
}
#endif
int cuMemFreeAsync(Pointer at, void *) {
  used -= malloc_usable_size((void *)at);
  free((void *)at);
  held -= 1;
  return 0;
}
int cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *) {
  FAIL("cuMemcpyHtoDAsync");
  memcpy((void *)to, from, bytes);
  return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *) {
  FAIL("cuMemcpyDtoHAsync");
  memcpy(to, (void *)from, bytes);
  return 0;
}
int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *) {
  memcpy((void *)to, (void *)from, bytes);
  return 0;
}
#ifdef IDLE
int cuModuleLoadData(void **to, const void *) { *to = &held; return 0; }
int cuModuleUnload(void *) { return 0; }
int cuModuleGetFunction(void **to, void *, const char *) { *to = &held; return 0; }
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                   void **) {
  return 0;
}
#else
// The code is a library behind its length.
int cuModuleLoadData(void **to, const void *code) {
  FAIL("cuModuleLoadData");
  unsigned long long length;
  memcpy(&length, code, sizeof length);
  // Libraries are told apart by their path.
  char path[] = "/tmp/emulated-module-XXXXXX";
  int file = mkstemp(path);
  if (file < 0 || write(file, (const char *)code + sizeof length, length) != (ssize_t)length) return 200;
  close(file);
  *to = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  // What is loaded stays.
  unlink(path);
  return *to == nullptr ? 200 : 0;
}
int cuModuleUnload(void *module) { dlclose(module); return 0; }

struct Function {
  void *kernel;
  int parameters;
  void (*emulate)(void *, long long, int, void **, int);
};
int cuModuleGetFunction(void **to, void *module, const char *name) {
  FAIL("cuModuleGetFunction");
  char count[256];
  snprintf(count, sizeof count, "%s_parameters", name);
  Function *function = new Function;
  function->kernel = dlsym(module, name);
  int *parameters = (int *)dlsym(module, count);
  function->emulate = (decltype(function->emulate))dlsym(module, "emulate");
  if (!function->kernel || !parameters || !function->emulate) return 500;
  function->parameters = *parameters;
  *to = function;
  return 0;
}
int cuLaunchKernel(Function *function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned,
                   unsigned, void *, void **parameters, void **) {
  FAIL("cuLaunchKernel");
  // The emulator's threads are those of one launch.
  static std::mutex one_at_a_time;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  function->emulate(function->kernel, blocks, threads, parameters, function->parameters);
  return 0;
}
#endif
int cuGetErrorString(int code, const char **to) {
  static char text[64];
  snprintf(text, sizeof text, "emulated failure %d", code);
  *to = text;
  return 0;
}
}
