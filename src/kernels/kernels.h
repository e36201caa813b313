// Every kernel behind one table of functions, one table an ISA. All functions are single-threaded and take a range of
// the output to compute; the runtime divides the ranges among threads. None of them allocates.
//
// One answer per request (docs/adr/0002): an output element is a function of its own row and of the weights only. It is
// accumulated over K in one fixed order, whatever the number of rows, the range, the tile or the thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/batch_layout.h"
#include "tensor/dtype.h"
#include "tensor/kv_layout.h"

namespace tenon::kernels {

using tensor::DType;

/// Weights are packed in panels of this many output columns.
inline constexpr int kPanel = 32;
/// The matmul sums K in order within blocks of this many, then adds the blocks in order. A constant of the format.
inline constexpr int kKBlock = 2048;
/// Bytes of a part of a coded panel that lies outside of it.
inline constexpr std::int64_t kSpillBytes = 4096;

/// A weight matrix [n, k] (output features, input features) in kernel order: ceil(n / kPanel) panels of panel_bytes
/// each, missing columns zero. dtype is kF32, kBF16 or a quantized format (its own packed form of that format).
struct PackedMatrix {
  DType dtype = DType::kF32;
  std::int64_t n = 0;
  std::int64_t k = 0;
  std::int64_t panel_bytes = 0;
  const std::byte* data = nullptr;
  bool coded = false;  ///< kBF16 by pack_coded_panel

  std::int64_t panels() const { return (n + kPanel - 1) / kPanel; }
};

/// How the left operand is packed for m rows against weights of one dtype: ceil(m / row_block) blocks of block_bytes.
/// float32 for kF32 and kFP8, bfloat16 for kBF16, int8 with one float scale per 32 for the other quantized formats.
struct ActivationLayout {
  DType weight_dtype = DType::kF32;
  std::int64_t m = 0;
  std::int64_t k = 0;
  int row_block = 1;  ///< rows a block; depends on m, and never changes a bit of the result
  std::int64_t block_bytes = 0;

  std::int64_t blocks() const { return (m + row_block - 1) / row_block; }
  std::int64_t bytes() const { return blocks() * block_bytes; }
};

enum class Epilogue : std::uint8_t {
  kStore,        ///< y = a·wᵀ (+ bias)
  kAdd,          ///< y += a·wᵀ (+ bias): the residual stream
  kSiluMul,      ///< panels 2p, 2p+1 hold gate and up: y[:, p] = silu(gate) * up; y has n/2 columns
  kGeluTanhMul,  ///< the same with gelu's tanh form
};

/// y[m, n] = activations[m, k] · weight[n, k]ᵀ
struct MatmulTask {
  PackedMatrix weight;
  ActivationLayout layout;
  const std::byte* activations = nullptr;
  float* y = nullptr;
  std::int64_t ldy = 0;         ///< floats from one row of y to the next
  const float* bias = nullptr;  ///< [n], or null
  Epilogue epilogue = Epilogue::kStore;
};

/// Rotary embedding: how the rotated pairs lie in a head.
enum class RopeStyle : std::uint8_t {
  kHalf,         ///< (x[i], x[i + rotary_dim/2]): Hugging Face's rotate_half
  kInterleaved,  ///< (x[2i], x[2i + 1]): GPT-J
};

/// Paged attention of one layer over ragged rows (grouped-query: heads % kv_heads == 0).
struct AttentionTask {
  const float* q = nullptr;  ///< [total_tokens, heads, key_dim], rows ldq apart
  std::int64_t ldq = 0;
  float* out = nullptr;  ///< [total_tokens, heads, value_dim], rows ldo apart
  std::int64_t ldo = 0;
  int heads = 0;
  const tensor::KvLayout* kv = nullptr;
  int layer = 0;
  const std::byte* pages = nullptr;  ///< page p starts at pages + p * kv->page_bytes()
  const tensor::Batch* batch = nullptr;
  float scale = 1.0f;
  float softcap = 0.0f;          ///< s = softcap * tanh(s / softcap); 0: none
  int window = 0;                ///< a token sees the last `window` positions, its own included; 0: all
  int chunk = 0;                 ///< a token sees none before the last multiple of it; 0: all. No window
  bool causal = true;            ///< false: up to the last position of the row's tokens in this batch; no window
  const float* sinks = nullptr;  ///< [heads] logits that take part in the softmax's sum only, or null
  /// Or null: added to the scaled scores, bias[head * bias_stride + key's position - query's]. It holds the distances
  /// of whole pages of keys, those beyond the last one seen too. Not together with softcap.
  const float* bias = nullptr;
  std::int64_t bias_stride = 0;
};

struct KvAppendTask {
  const float* k = nullptr;  ///< [total_tokens, kv_heads, key_dim], rows ldk apart
  std::int64_t ldk = 0;
  const float* v = nullptr;
  std::int64_t ldv = 0;
  const tensor::KvLayout* kv = nullptr;
  int layer = 0;
  std::byte* pages = nullptr;
  const tensor::Batch* batch = nullptr;
};

enum class Unary : std::uint8_t { kSilu, kGeluTanh, kGeluErf, kSigmoid, kTanh, kRelu, kExp };

struct Kernels {
  const char* isa;  ///< "portable", "avx2", "avx512"

  // -- matmul. Packing a weight: rows[i] points at K elements of src_dtype, or is null for a row of zeros; they are the
  // columns of panel `panel`, kPanel pointers. src_dtype is the same as weight.dtype, or any float or quantized dtype
  // if weight.dtype is kF32 or kBF16.
  std::int64_t (*panel_bytes)(DType weight_dtype, std::int64_t k);
  void (*pack_panel)(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows, std::byte* out);
  ActivationLayout (*activation_layout)(DType weight_dtype, std::int64_t m, std::int64_t k);
  /// Packs block `block` of rows: `rows` points at that block's first row, of min(row_block, m - block * row_block)
  /// rows that lie ldx floats apart; `out` is the whole packed operand.
  void (*pack_activations)(const ActivationLayout& layout, std::int64_t block, const float* rows, std::int64_t ldx,
                           std::byte* out);
  /// Panels [begin, end) (pairs of panels 2p, 2p+1 for the gated epilogues), all rows. With kSiluMul and kGeluTanhMul
  /// begin and end are even.
  void (*matmul)(const MatmulTask& task, std::int64_t panel_begin, std::int64_t panel_end);
  /// Of a panel of kBF16 in coded form: the same weights, to the bit, in three quarters of the bytes. 0: this ISA has
  /// no such form, or not for this k.
  std::int64_t (*coded_panel_bytes)(std::int64_t k);
  /// Packs a panel of kBF16 in coded form. Parts of it that do not fit are kept at `spilled`, kSpillBytes each, which
  /// must stay there. Returns how many there are; if that is more than `room`, call again with enough.
  std::int64_t (*pack_coded_panel)(std::int64_t k, DType src_dtype, const std::byte* const* rows, std::byte* out,
                                   std::byte* spilled, std::int64_t room);

  // -- rows of float32
  /// y = x / sqrt(mean(x²) + eps) * (weight + weight_offset) for `rows` rows of n; weight may be null (ones). x may be
  /// y.
  void (*rms_norm)(const float* x, std::int64_t ldx, const float* weight, float weight_offset, float eps, float* y,
                   std::int64_t ldy, std::int64_t rows, std::int64_t n);
  /// y = (x - mean(x)) / sqrt(mean((x - mean(x))²) + eps) for `rows` rows of n. x may be y.
  void (*layer_norm)(const float* x, std::int64_t ldx, float eps, float* y, std::int64_t ldy, std::int64_t rows,
                     std::int64_t n);
  /// cos and sin of position * inv_freq, times `scale`: out[t] = cos[half], sin[half]. Angles in double, then rounded.
  void (*rope_table)(const std::int32_t* positions, std::int64_t tokens, const double* inv_freq, std::int64_t half,
                     float scale, float* out);
  /// Rotates the first 2*half dims of each of `heads` heads of head_dim, for `tokens` rows; in place if x is y.
  void (*rope)(const float* x, std::int64_t ldx, const float* table, RopeStyle style, std::int64_t tokens, int heads,
               int head_dim, std::int64_t half, float* y, std::int64_t ldy);
  void (*unary)(Unary op, const float* x, float* y, std::int64_t n);
  void (*add)(const float* a, const float* b, float* y, std::int64_t n);
  void (*mul)(const float* a, const float* b, float* y, std::int64_t n);
  void (*scale)(const float* x, float s, float* y, std::int64_t n);
  /// y = cap * tanh(x / cap)
  void (*softcap)(const float* x, float cap, float* y, std::int64_t n);
  /// y = min(max(x, low), high); NaN stays.
  void (*clamp)(const float* x, float low, float high, float* y, std::int64_t n);
  /// Any float or quantized row to float32 (embedding look-up), times `scale`.
  void (*dequantize_row)(DType dtype, const std::byte* row, std::int64_t n, float scale, float* y);

  // -- KV cache
  /// Tokens [begin, end) of the batch.
  void (*kv_append)(const KvAppendTask& task, std::int64_t token_begin, std::int64_t token_end);
  /// Work items [begin, end) of attention_items(task): any split gives the same bits. scratch has
  /// attention_scratch_bytes(task) bytes, one a thread.
  std::int64_t (*attention_items)(const AttentionTask& task);
  std::int64_t (*attention_scratch_bytes)(const AttentionTask& task);
  void (*attention)(const AttentionTask& task, std::int64_t item_begin, std::int64_t item_end, std::byte* scratch);

  // -- sampling
  /// Index of the largest of n; the smallest index among equals; NaN counts as the smallest.
  std::int64_t (*argmax)(const float* x, std::int64_t n);
  /// log(sum(exp(x))), summed in float64 in a fixed order.
  double (*log_sum_exp)(const float* x, std::int64_t n);
};

/// The tables, each null where this machine cannot run it. portable() always can.
const Kernels* portable();
const Kernels* avx2();
const Kernels* avx512();

/// The best table for this machine, or the one that TENON_FORCE_ISA names (an unknown or impossible name aborts with a
/// message). Chosen once.
const Kernels& kernels();

}  // namespace tenon::kernels
