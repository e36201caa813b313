// Puts an ISA's table together from its parts; the matmul functions choose the part by the weight's dtype.
#pragma once

#include "kernels/parts.h"

namespace tenon::kernels {

/// The matmul functions of a table: those of kFloat for weights of kF32, kBF16 and kFP8, else those of kQuant.
template <const MatmulPart& kFloat, const MatmulPart& kQuant>
struct MatmulByDtype {
  static const MatmulPart& part(DType weight_dtype) {
    switch (weight_dtype) {
      case DType::kF32:
      case DType::kBF16:
      case DType::kFP8:
        return kFloat;
      default:
        return kQuant;
    }
  }
  static std::int64_t panel_bytes(DType weight_dtype, std::int64_t k) {
    return part(weight_dtype).panel_bytes(weight_dtype, k);
  }
  static void pack_panel(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows,
                         std::byte* out) {
    part(weight_dtype).pack_panel(weight_dtype, k, src_dtype, rows, out);
  }
  static ActivationLayout activation_layout(DType weight_dtype, std::int64_t m, std::int64_t k) {
    return part(weight_dtype).activation_layout(weight_dtype, m, k);
  }
  static void pack_activations(const ActivationLayout& layout, std::int64_t block, const float* rows, std::int64_t ldx,
                               std::byte* out) {
    part(layout.weight_dtype).pack_activations(layout, block, rows, ldx, out);
  }
  static void matmul(const MatmulTask& task, std::int64_t panel_begin, std::int64_t panel_end) {
    part(task.weight.dtype).matmul(task, panel_begin, panel_end);
  }
};

template <const MatmulPart& kFloat, const MatmulPart& kQuant>
Kernels assemble(const char* isa, const RowPart& rows, const AttentionPart& attention) {
  using Matmul = MatmulByDtype<kFloat, kQuant>;
  return {
      .isa = isa,
      .panel_bytes = Matmul::panel_bytes,
      .pack_panel = Matmul::pack_panel,
      .activation_layout = Matmul::activation_layout,
      .pack_activations = Matmul::pack_activations,
      .matmul = Matmul::matmul,
      .coded_panel_bytes = kFloat.coded_panel_bytes,
      .pack_coded_panel = kFloat.pack_coded_panel,
      .rms_norm = rows.rms_norm,
      .layer_norm = rows.layer_norm,
      .rope_table = rows.rope_table,
      .rope = rows.rope,
      .unary = rows.unary,
      .add = rows.add,
      .mul = rows.mul,
      .scale = rows.scale,
      .softcap = rows.softcap,
      .clamp = rows.clamp,
      .dequantize_row = rows.dequantize_row,
      .kv_append = attention.kv_append,
      .attention_items = attention.attention_items,
      .attention_scratch_bytes = attention.attention_scratch_bytes,
      .attention = attention.attention,
      .argmax = rows.argmax,
      .log_sum_exp = rows.log_sum_exp,
  };
}

}  // namespace tenon::kernels
