// The only place that asks what the CPU can do.
#include <cpuid.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "kernels/isa_tables.h"
#include "kernels/kernels.h"

namespace tenon::kernels {
namespace {

struct CpuidLeaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidLeaf cpuid(unsigned leaf, unsigned subleaf) {
  CpuidLeaf r;
  if (__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) == 0) return {};
  return r;
}

// Register state that the operating system saves: XCR0, or 0 if it saves none.
std::uint64_t saved_state() {
  constexpr unsigned kOsxsave = 1u << 27;
  if ((cpuid(1, 0).ecx & kOsxsave) == 0) return 0;
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

// What avx2/ is compiled for: x86-64-v3.
bool can_run_avx2() {
  constexpr std::uint64_t kYmm = 0x6;
  if ((saved_state() & kYmm) != kYmm) return false;
  constexpr unsigned kFma = 1u << 12, kMovbe = 1u << 22, kAvx = 1u << 28, kF16c = 1u << 29;
  constexpr unsigned kLeaf1 = kFma | kMovbe | kAvx | kF16c;
  constexpr unsigned kBmi1 = 1u << 3, kAvx2 = 1u << 5, kBmi2 = 1u << 8;
  constexpr unsigned kLeaf7 = kBmi1 | kAvx2 | kBmi2;
  constexpr unsigned kLzcnt = 1u << 5;
  return (cpuid(1, 0).ecx & kLeaf1) == kLeaf1 && (cpuid(7, 0).ebx & kLeaf7) == kLeaf7 &&
         (cpuid(0x80000001u, 0).ecx & kLzcnt) != 0;
}

// What avx512/ is compiled for: x86-64-v4 with BF16, VNNI and VBMI.
bool can_run_avx512() {
  constexpr std::uint64_t kZmm = 0xe6;
  if (!can_run_avx2() || (saved_state() & kZmm) != kZmm) return false;
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kCd = 1u << 28, kBw = 1u << 30, kVl = 1u << 31;
  constexpr unsigned kLeaf7Ebx = kF | kDq | kCd | kBw | kVl;
  constexpr unsigned kVbmi = 1u << 1, kVnni = 1u << 11;
  constexpr unsigned kLeaf7Ecx = kVbmi | kVnni;
  constexpr unsigned kBf16 = 1u << 5;
  const CpuidLeaf leaf7 = cpuid(7, 0);
  return (leaf7.ebx & kLeaf7Ebx) == kLeaf7Ebx && (leaf7.ecx & kLeaf7Ecx) == kLeaf7Ecx && (cpuid(7, 1).eax & kBf16) != 0;
}

// The environment is the user's word, as options are: a wrong one ends the process with their status. Without
// destructors, for other threads may run.
const Kernels* choose() {
  constexpr int kUsage = 2;
  const char* forced = std::getenv("TENON_FORCE_ISA");
  if (forced == nullptr || *forced == '\0') {
    if (const Kernels* best = avx512()) return best;
    if (const Kernels* good = avx2()) return good;
    return portable();
  }
  const std::string_view name = forced;
  const Kernels* table = nullptr;
  if (name == "portable")
    table = portable();
  else if (name == "avx2")
    table = avx2();
  else if (name == "avx512")
    table = avx512();
  else {
    std::fprintf(stderr, "tenon: TENON_FORCE_ISA=%s is not known: use portable, avx2 or avx512\n", forced);
    std::_Exit(kUsage);
  }
  if (table == nullptr) {
    std::fprintf(stderr,
                 "tenon: TENON_FORCE_ISA=%s: this CPU or operating system cannot run it; unset it or use portable\n",
                 forced);
    std::_Exit(kUsage);
  }
  return table;
}

}  // namespace

const Kernels* portable() {
  static const Kernels table = portable_isa::make_table();
  return &table;
}

const Kernels* avx2() {
  static const Kernels* const table = []() -> const Kernels* {
    if (!can_run_avx2()) return nullptr;
    static const Kernels made = avx2_isa::make_table();
    return &made;
  }();
  return table;
}

const Kernels* avx512() {
  static const Kernels* const table = []() -> const Kernels* {
    if (!can_run_avx512()) return nullptr;
    static const Kernels made = avx512_isa::make_table();
    return &made;
  }();
  return table;
}

const Kernels& kernels() {
  static const Kernels* const chosen = choose();
  return *chosen;
}

}  // namespace tenon::kernels
