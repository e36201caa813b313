// For the tests of kernels/: the parts of every ISA that this machine can run.
#pragma once

#include <string>
#include <vector>

#include "kernels/parts.h"

namespace tenon::kernels {

struct IsaParts {
  std::string name;
  const RowPart* rows;
  const AttentionPart* attention;
};

inline void PrintTo(const IsaParts& isa, std::ostream* out) { *out << isa.name; }

inline std::vector<IsaParts> isa_parts() {
  std::vector<IsaParts> parts = {{"portable", &portable_isa::kRows, &portable_isa::kAttention}};
  if (avx2() != nullptr) parts.push_back({"avx2", &avx2_isa::kRows, &avx2_isa::kAttention});
  if (avx512() != nullptr) parts.push_back({"avx512", &avx512_isa::kRows, &avx512_isa::kAttention});
  return parts;
}

}  // namespace tenon::kernels
