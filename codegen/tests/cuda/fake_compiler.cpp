// NVRTC's interface over the C++ compiler: the "machine code" is a library of emulated kernels behind its length. FOLDER
// and SHIM are where files go for a moment and where the emulator's text is; LEVEL is how much is optimised. With IDLE,
// nothing is compiled.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

#ifndef LEVEL
#define LEVEL "-O1"
#endif

struct Program {
  std::string source, code, log;
};

static std::string with_counts(const std::string &source) {
  std::string counts;
  const std::string mark = "\nLZ_KERNEL(";
  for (size_t at = source.find(mark); at != std::string::npos; at = source.find(mark, at + 1)) {
    size_t name = source.find(") ", at) + 2, open = source.find('(', name), close = source.find(')', open);
    int count = 1;
    for (size_t i = open; i < close; ++i) count += source[i] == ',';
    counts += "extern \"C\" { int " + source.substr(name, open - name) + "_parameters = " + std::to_string(count) +
              "; }\n";
  }
  return counts;
}

static const char *CALL = R"(
extern "C" void emulate(void *kernel, long long blocks, int threads, void **parameters, int count) {
  u64 p[32] = {};
  if (count > 32) abort();
  for (int i = 0; i < count; ++i) p[i] = *(u64 *)parameters[i];
  typedef void (*Kernel)(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64,
                         u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64);
  shim::launch(blocks, threads, [&] {
    // What a kernel does not take it does not see.
    ((Kernel)kernel)(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14],
                     p[15], p[16], p[17], p[18], p[19], p[20], p[21], p[22], p[23], p[24], p[25], p[26], p[27], p[28],
                     p[29], p[30], p[31]);
  });
}
)";

extern "C" {
int nvrtcVersion(int *major, int *minor) { *major = 13; *minor = 0; return 0; }
int nvrtcCreateProgram(Program **to, const char *source, const char *, int, const char *const *, const char *const *) {
  *to = new Program{source, "", ""};
  return 0;
}
#ifdef IDLE
int nvrtcCompileProgram(Program *program, int, const char *const *) { program->code = "nothing"; return 0; }
#else
int nvrtcCompileProgram(Program *program, int, const char *const *) {
  // Several of these libraries may be loaded.
  static std::atomic<int> number;
  std::string base = std::string(FOLDER) + "/fake-" + std::to_string(getpid()) + "-" +
                     std::to_string((unsigned long)&number) + "-" + std::to_string(number++);
  FILE *file = fopen((base + ".cpp").c_str(), "w");
  fprintf(file, "#define LZ_KERNEL(threads, blocks) extern \"C\" void\n#include \"shim.h\"\n%s\n%s\n%s",
          program->source.c_str(), with_counts(program->source).c_str(), CALL);
  fclose(file);
  std::string command = "g++ -std=c++17 " LEVEL " -fPIC -shared -w -ffp-contract=off -fno-strict-aliasing -I " SHIM
                        " -o " + base + ".so " + base + ".cpp";
  if (system((command + " 2> " + base + ".log").c_str()) != 0) {
    program->log = "the C++ compiler refuses " + base + ".cpp";
    return 6;
  }
  unlink((base + ".cpp").c_str());
  unlink((base + ".log").c_str());
  std::ifstream library(base + ".so", std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(library)), std::istreambuf_iterator<char>());
  unlink((base + ".so").c_str());
  unsigned long long length = bytes.size();
  program->code = std::string((const char *)&length, sizeof length) + bytes;
  return 0;
}
#endif
int nvrtcDestroyProgram(Program **program) { delete *program; return 0; }
int nvrtcGetProgramLogSize(Program *program, size_t *to) { *to = program->log.size() + 1; return 0; }
int nvrtcGetProgramLog(Program *program, char *to) { strcpy(to, program->log.c_str()); return 0; }
int nvrtcGetPTXSize(Program *, size_t *to) { *to = 1; return 0; }
int nvrtcGetPTX(Program *, char *to) { *to = 0; return 0; }
int nvrtcGetCUBINSize(Program *program, size_t *to) { *to = program->code.size(); return 0; }
int nvrtcGetCUBIN(Program *program, char *to) { memcpy(to, program->code.data(), program->code.size()); return 0; }
const char *nvrtcGetErrorString(int) { return "emulated failure"; }
}
