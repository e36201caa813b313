// Where a config.json differs from what an architecture reads.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/architecture.h"

namespace tenon::scaffold {

struct Difference {
  enum class Kind : std::uint8_t {
    kNotRead,    ///< in the config; the architecture does not read it
    kRefused,    ///< in the config with a value that the architecture refuses
    kMissing,    ///< required by the architecture and absent
    kDefaulted,  ///< read by the architecture and absent: it takes its default
  };
  Kind kind;
  std::string field;   ///< with its path: "rope_parameters.factor"
  Json value;          ///< of the config, or the default
  std::string reason;  ///< of a refusal
};

struct Understood {
  Json config;  ///< which the architecture takes: less what it does not read or refuses, with what it requires
  std::vector<Difference> differences;
};

/// An error: what is wrong cannot be put right by leaving fields out.
Result<Understood> understand(const model::Architecture& architecture, const Json& config);

/// One line: "- \"clip\" = 3 is not read by llama: …". Control characters of the config are replaced, so that the text
/// can stand in a comment of a source file.
std::string to_text(const Difference& difference, std::string_view family);

}  // namespace tenon::scaffold
