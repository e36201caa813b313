// What every architecture must do, whoever wrote it, checked on a tiny model with random weights. The test
// tests/conformance runs this for each line of registry.def, `tenon check` for an architecture out of the tree.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "model/registry.h"

namespace tenon::verify {

/// A sentence for each thing that is wrong.
using Problems = std::vector<std::string>;

struct ConformanceCheck {
  std::string_view name;     ///< "OneAnswer"
  std::string_view promise;  ///< what holds if there is no problem
  /// `config`: the config.json of a tiny model. The architecture must be registered.
  Problems (*run)(const model::Architecture& architecture, const Json& config);
};

std::span<const ConformanceCheck> conformance_checks();

struct CheckOptions {
  std::string architecture;  ///< a folder or .so, which is loaded, or the class or family of a registered one
  std::string config;        ///< a tiny config.json; empty: tiny/config.json of the folder
  std::string keep;          ///< a directory for the tiny random checkpoint; empty: none is written
};

struct CheckReport {
  model::RegistryEntry entry;
  std::string config;  ///< its path
  std::int64_t parameters = 0;
  struct Line {
    const ConformanceCheck* check;
    Problems problems;
  };
  std::vector<Line> lines;
  bool passed() const;
};

/// `tenon check`. An error: the architecture or the config is not there, or the config is not understood.
Result<CheckReport> check(const CheckOptions& options);

std::string to_text(const CheckReport& report);

// The checks.
Problems check_one_answer(const model::Architecture& architecture, const Json& config);
Problems check_save_and_reload(const model::Architecture& architecture, const Json& config);
Problems check_strict_weights(const model::Architecture& architecture, const Json& config);
Problems check_gguf_names(const model::Architecture& architecture, const Json& config);
Problems check_config_round_trip(const model::Architecture& architecture, const Json& config);
Problems check_unknown_variants(const model::Architecture& architecture, const Json& config);

}  // namespace tenon::verify
