// Strict reading of config.json. Getters never fail by themselves: the first thing that is wrong is kept and finish()
// reports it, so that an architecture reads its fields one a line. A field that nobody read is an error, unless it is
// known to be harmless or says nothing (null, false, empty).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/result.h"
#include "model/model_config.h"
#include "nn/layers.h"
#include "nn/rope.h"

namespace tenon::model {

/// Names are those of config.json; a nested `text_config` is read as if its fields stood at the top. Integers are
/// within [min, max]; after an error a getter returns its default, or `min`, so that parsing can go on safely.
class ConfigReader {
 public:
  static constexpr int kMaxSize = 1 << 24;  ///< no size or count of a real model is larger

  /// `json` outlives the reader.
  ConfigReader(const Json& json, std::string architecture);

  /// In the file and not null.
  bool has(std::string_view field) const;
  /// In the file, be it null: for a field whose absence means something else.
  bool states(std::string_view field) const;

  int integer(std::string_view field, int min = 1, int max = kMaxSize);  ///< required
  int integer_or(std::string_view field, int otherwise, int min = 1, int max = kMaxSize);
  /// Where transformers refuses null: another than the default may be meant.
  int integer_not_null_or(std::string_view field, int absent, int min = 1, int max = kMaxSize);
  std::optional<int> optional_integer(std::string_view field, int min = 1, int max = kMaxSize);
  double number(std::string_view field);  ///< required; finite
  double number_or(std::string_view field, double otherwise);
  std::optional<double> optional_number(std::string_view field);
  double epsilon_or(std::string_view field, double otherwise);  ///< of a norm: more than 0 and less than 1
  bool boolean_or(std::string_view field, bool otherwise);
  std::string string_or(std::string_view field, std::string_view otherwise);
  std::vector<std::string> strings(std::string_view field);     ///< empty if absent
  std::vector<double> numbers(std::string_view field);          ///< empty if absent
  std::vector<std::int32_t> token_ids(std::string_view field);  ///< an id, a list, or none

  /// An activation by its name in transformers; an unknown one is refused with the list.
  nn::Activation activation_or(std::string_view field, std::string_view otherwise);

  /// "sliding_attention" or "full_attention" a layer, from `layer_types`; empty if absent. Others are refused.
  std::vector<std::string> layer_types(int num_hidden_layers);

  /// num_key_value_heads, `absent` if it is not there. null is `of_null` where transformers takes null as
  /// num_attention_heads; without it null is refused, as transformers does.
  int key_value_heads(int absent, std::optional<int> of_null = std::nullopt);
  /// The spelling of a field that the config has, of two that transformers takes for one (attribute_map): `field`
  /// unless there is only `alias`. Both with different values are refused.
  std::string_view spelling_of(std::string_view field, std::string_view alias);

  /// num_attention_heads % num_key_value_heads, and head_dim even: what attention needs; and all heads are one size.
  void check_heads(int num_attention_heads, int num_key_value_heads, int head_dim);

  /// A size that is a product must not be larger than others (nor than an int).
  void check_product(std::string_view field, int value, int times);

  /// A nested object, absent or null: an empty one. Its fields are read strictly too.
  ConfigReader object(std::string_view field);

  /// Rotary embedding of the whole model: `rope_parameters` (transformers v5), or `rope_theta` and `rope_scaling` (v4).
  nn::RopeConfig rope(int head_dim, int max_position_embeddings, double default_theta = 10000.0);
  /// Of a family that rotates a part of each head: how many dims, by `partial_rotary_factor` within those or at the
  /// top. Read before rope(), whose head_dim it then is; without it a part is refused.
  int rotary_dim(int head_dim, double default_factor);
  /// The same from this object itself: an entry of `rope_parameters`, or `rope_scaling`.
  nn::RopeConfig rope_entry(int head_dim, int max_position_embeddings, double default_theta);
  /// Refuses a rope_theta beside another one in `entry`, which would win in silence.
  void check_rope_theta(const ConfigReader& entry);

  /// Takes a field as read although it has no effect for this architecture; a comment at the call says why.
  void accept(std::string_view field) { seen(field); }
  /// Something that the user should know.
  void note(std::string text);
  /// What is wrong with a field: "is 3, but …". The first error wins.
  void fail(std::string_view field, std::string problem, ErrorCode code = ErrorCode::kInvalidArgument);

  /// How well the config suits the fields that were read: those that are there, less those nobody read. For finding the
  /// nearest architecture.
  double coverage() const;

  /// The first error, or that of a field which nobody read; else moves what was understood to `config`.
  Status finish(ModelConfig& config);

 private:
  struct State;
  ConfigReader(const Json* json, std::string path, std::shared_ptr<State> state);
  const Json* find(std::string_view field) const;
  const Json* seen(std::string_view field);
  std::string path_of(std::string_view field) const { return path_ + std::string(field); }
  void understood(std::string_view field, Json value, bool defaulted);
  void missing(std::string_view field);
  void refuse_partial_rotary();
  std::string advice_on_missing() const;
  void wrong_type(std::string_view field, const Json& value, std::string_view expected);
  std::optional<int> checked_integer(std::string_view field, int min, int max);
  Status check_unread(const Json& object, const std::string& path) const;

  const Json* json_;
  std::string path_;  ///< "" or "rope_scaling."
  std::shared_ptr<State> state_;
};

}  // namespace tenon::model
