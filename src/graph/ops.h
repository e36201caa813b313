// What a model may compute. Each op is one file in ops/: its shape rule and an obvious scalar reference; those that are
// fused also have a decomposition into the others. Names are PyTorch's where it has one.
// T = total_tokens; float values are float32; weights have the dtype of the checkpoint.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace tenon::graph {

/// ids [T] i32, weight [V, H] → [T, H]: row id + offset of each.
Value embedding(Value ids, Value weight, std::int64_t offset = 0);
/// The same row of weight [V, H] for each of ids [T] → [T, H]: BERT's token type where a text has no pair.
Value embedding_row(Value ids, Value weight, std::int64_t row);
/// x [.., K], weight [N, K] (a linear layer's) → x · weightᵀ [.., N].
Value linear(Value x, Value weight);
/// x [T, heads, K], weight [heads, N, K] → [T, heads, N]: each head by its own matrix (multi-head latent attention).
Value head_linear(Value x, Value weight);
/// Elementwise; shapes equal, or b a vector of the last dim.
Value add(Value a, Value b);
Value mul(Value a, Value b);
Value scale(Value x, double s);
Value silu(Value x);
Value gelu_tanh(Value x);
Value gelu(Value x);  ///< erf form
Value sigmoid(Value x);
Value tanh(Value x);
Value relu(Value x);
/// cap * tanh(x / cap)  (Gemma 2).
Value softcap(Value x, double cap);
/// Between min and max, which may be infinite; NaN stays.
Value clamp(Value x, double min, double max);
/// (x - mean(x)) / sqrt(var(x) + eps) over the last dim, times weight, plus bias, where they are given: [last dim].  Ba
/// et al. 2016.
Value layer_norm(Value x, double eps, Value weight = {}, Value bias = {});
/// x / sqrt(mean(x²) + eps) * (weight + weight_offset) over the last dim; weight [last dim].  Zhang & Sennrich 2019.
Value rms_norm(Value x, Value weight, double eps, double weight_offset = 0.0);
/// Same elements, other dims; only the last dims may change, the first stays.
Value reshape(Value x, std::vector<Dim> dims);
/// x[.., begin:end] of the last dim.
Value slice(Value x, std::int64_t begin, std::int64_t end);
/// The columns of all parts beside one another; all dims but the last are equal.
Value concat(const std::vector<Value>& parts);
/// The rows of x [T, H] that `indices` [R] i32 names → [R, H].
Value gather_rows(Value x, Value indices);

/// cos and sin of positions [T] i32 times inv_freq [half], times attention_factor → [T, 2 * half] (cos half, sin half).
Value rope_table(Value positions, std::vector<double> inv_freq, double attention_factor = 1.0);
/// Rotates the first 2 * half dims of each head: x [T, heads, head_dim], table [T, 2 * half]. Su et al. 2021.
/// interleaved: pairs (2i, 2i+1) instead of (i, i + half).
Value rope(Value x, Value table, bool interleaved = false);

/// Stores keys [T, kv_heads, key_dim] and values [T, kv_heads, value_dim] in the paged cache of `layer`; the result is
/// that cache's state, to be given to attention(). batch: positions, row_offsets, page_table.
Value kv_append(Value k, Value v, int layer, Value positions, Value row_offsets, Value page_table);

struct AttentionOptions {
  double scale = 1.0;    ///< of the scores, usually 1/sqrt(head_dim)
  double softcap = 0.0;  ///< 0: none
  int window = 0;        ///< 0: all positions up to the token's own; else the last `window`
  int chunk = 0;         ///< not 0: none before the last multiple of `chunk` (Llama 4's chunked attention). No window.
  /// false: each token sees all tokens of its sequence that the batch brings, before and after it (BERT). The sequence
  /// must be whole in the batch, and its cache is then only where the keys and values of this run lie. No window.
  bool causal = true;
};
/// Added to the scores, after their scale: row relative_bucket(key's position - query's) of table [buckets, heads]
/// (T5, MPNet). For attention in both directions without softcap or sinks.
struct RelativeBias {
  Value table = {};  ///< empty: none
  int max_distance = 128;
};
/// Attention over the paged cache: q [T, heads, key_dim] → [T, heads, value_dim]. sinks: [heads], or none.
Value attention(Value q, Value cache, AttentionOptions options, Value sinks = {}, RelativeBias bias = {});

// -- mixture of experts. k = top_k; E experts
/// What a router's logits become before the largest are chosen.
enum class RouterScoring : std::uint8_t {
  kSoftmaxOfAll,     ///< over all experts (Mixtral, Qwen-MoE)
  kSigmoidOfEach,    ///< of each (DeepSeek-V3)
  kSoftmaxOfChosen,  ///< chosen by the logits, then a softmax over the chosen (Granite, GPT-OSS)
  kSigmoidOfChosen,  ///< chosen by the logits, then the sigmoid of each (Llama 4)
};
enum class GroupScore : std::uint8_t { kMax, kSumOfTwo };  ///< DeepSeek-V2; DeepSeek-V3
struct RouterOptions {
  int top_k = 1;
  RouterScoring scoring = RouterScoring::kSoftmaxOfAll;
  bool normalize = false;  ///< weights of a token are divided by (their sum + epsilon)
  double epsilon = 0.0;
  double scale = 1.0;  ///< of the weights, last
  /// The experts are n_group groups of equal size; only those of the best topk_group groups may be chosen.
  int n_group = 1, topk_group = 1;
  GroupScore group_score = GroupScore::kMax;  ///< of a group: its largest score, or the sum of its two largest
};
struct Routing {
  Value ids;      ///< [T, k] i32, distinct, the largest score first
  Value weights;  ///< [T, k]
};
/// logits [T, E] → the k experts of each token. Of equal scores the lower index wins, as torch.topk does in practice on
/// CPUs (it promises nothing). correction_bias [E] is added to the scores for the choice only (DeepSeek-V3).
Routing route_experts(Value logits, const RouterOptions& options, Value correction_bias = {});
/// x [T, K], or [T, k, K] one row a choice; ids [T, k]; weight [E, N, K]; bias [E, N] or none → [T, k, N], where row
/// (t, j) is multiplied by the matrix of expert ids[t, j].
Value expert_linear(Value x, Value ids, Value weight, Value bias = {});
/// y [T, k, N] of experts times weights [T, k] → the same: the weight of a choice comes before what is not linear.
Value scale_experts(Value y, Value weights);
/// y [T, k, H], weights [T, k] or none (ones) → [T, H]: the weighted sum over k, in that order.
Value combine_experts(Value y, Value weights = {});

// -- what depends on the position or on the tokens before
/// x [T, ..] times 1 + strength · log(1 + floor((position + 1) / floor_scale)): the temperature of Llama 4's long
/// contexts.
Value position_temperature(Value x, Value positions, double floor_scale, double strength);
/// Stores x [T, channels] of each token in the paged cache of `layer`, whose KvLayer is {1, 0, channels}; the result is
/// that cache's state, for short_conv().
Value state_append(Value x, int layer, Value positions, Value row_offsets, Value page_table);
/// Causal depthwise convolution over the states of a sequence: weight [taps, channels] → [T, channels], y[p] = Σ_j
/// weight[j] · state[p - (taps - 1) + j], where nothing lies before position 0 (LFM2).
Value short_conv(Value state, Value weight);

}  // namespace tenon::graph
