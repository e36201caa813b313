// The parts that an ISA's table is put together from (assemble.h; table.cpp in each ISA's folder). Private to kernels/.
#pragma once

#include "kernels/kernels.h"

namespace tenon::kernels {

/// Matmul for a set of weight dtypes; the members are those of Kernels.
struct MatmulPart {
  decltype(Kernels::panel_bytes) panel_bytes;
  decltype(Kernels::pack_panel) pack_panel;
  decltype(Kernels::activation_layout) activation_layout;
  decltype(Kernels::pack_activations) pack_activations;
  decltype(Kernels::matmul) matmul;
  decltype(Kernels::coded_panel_bytes) coded_panel_bytes = nullptr;  ///< of the float part only
  decltype(Kernels::pack_coded_panel) pack_coded_panel = nullptr;
};

struct RowPart {
  decltype(Kernels::rms_norm) rms_norm;
  decltype(Kernels::layer_norm) layer_norm;
  decltype(Kernels::rope_table) rope_table;
  decltype(Kernels::rope) rope;
  decltype(Kernels::unary) unary;
  decltype(Kernels::add) add;
  decltype(Kernels::mul) mul;
  decltype(Kernels::scale) scale;
  decltype(Kernels::softcap) softcap;
  decltype(Kernels::clamp) clamp;
  decltype(Kernels::dequantize_row) dequantize_row;
  decltype(Kernels::argmax) argmax;
  decltype(Kernels::log_sum_exp) log_sum_exp;
};

struct AttentionPart {
  decltype(Kernels::kv_append) kv_append;
  decltype(Kernels::attention_items) attention_items;
  decltype(Kernels::attention_scratch_bytes) attention_scratch_bytes;
  decltype(Kernels::attention) attention;
};

// One namespace an ISA: matmul_float*.cpp, matmul_quant*.cpp, rows*.cpp, attention*.cpp of its folder define these.
#define TENON_DECLARE_PARTS(isa)         \
  namespace isa {                        \
  extern const MatmulPart kFloatMatmul;  \
  extern const MatmulPart kQuantMatmul;  \
  extern const RowPart kRows;            \
  extern const AttentionPart kAttention; \
  }
TENON_DECLARE_PARTS(portable_isa)
TENON_DECLARE_PARTS(avx2_isa)
TENON_DECLARE_PARTS(avx512_isa)
#undef TENON_DECLARE_PARTS

}  // namespace tenon::kernels
