// A dump of what transformers computes for a model: tools/make_reference.py.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "verify/runner.h"
#include "weights/checkpoint.h"

namespace tenon::verify {

struct Reference {
  std::vector<Ids> prompts;
  std::vector<Logits> logits;                    ///< of each prompt: [tokens, vocab]
  std::unique_ptr<weights::Checkpoint> tensors;  ///< "tap.NAME": float32 [tokens of prompt 0, width]
  std::int64_t vocab = 0;
  std::string architecture;   ///< the model class; "" if the file does not say it
  std::string writer, dtype;  ///< "transformers 5.23.0", "float32"
  Json config = nullptr;      ///< of the model that was run; null if the file does not say it

  struct Tap {
    std::vector<float> values;  ///< [tokens of prompt 0, width]: a copy, since the file's may lie at any address
    std::int64_t width = 0;
  };
  /// None if there is no tap of that name.
  std::optional<Tap> tap(const std::string& name) const;
  bool has_taps() const;
};

/// Checks all that is read later: names, dtypes and shapes. An error says what is wrong with the file.
Result<Reference> read_reference(const std::string& path);

/// Whether the dump is of a class that `architecture` runs, or does not say of which.
bool runs(const Reference& reference, const std::string& architecture);

/// An error if the dump is plainly of another model: its class, vocabulary, width or depth. `config` is null for a GGUF
/// file, which may hold another class under its name, as Mistral under Llama's: then the class is no error.
Status check_same_model(const Reference& reference, const std::string& path, const std::string& architecture,
                        std::int64_t vocab, const Json& config);

/// Fields of the two configs that differ and may matter, one sentence each; empty if a config is not known.
std::vector<std::string> config_differences(const Reference& reference, const Json& config);

}  // namespace tenon::verify
