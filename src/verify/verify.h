// What `tenon verify` does: the same token ids through the model as it would be served, beside a reference dump.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "loader/loader.h"
#include "verify/compare.h"
#include "verify/diagnose.h"

namespace tenon::verify {

struct VerifyOptions {
  loader::LoadOptions load;
  std::string reference;  ///< path of the dump
  int threads = 1;
};

struct TapRow {
  std::string name;
  RowDifference difference;  ///< of the model as served, so that errors of the layers before count too
};

struct Report {
  std::string model, architecture, encoding;
  std::string reference;  ///< "reference.safetensors (transformers 5.23.0, float32)"
  Difference logits;      ///< of all prompts
  std::vector<TapRow> taps;
  Tolerance tolerance;
  bool agrees = false;
  std::vector<std::string> unmatched_taps;      ///< of the dump, which this model does not have
  std::vector<std::string> config_differences;  ///< from the config that the dump was made with
  std::optional<Diagnosis> diagnosis;           ///< if it does not agree, or a layer by more than rounding
  std::string no_diagnosis;                     ///< why there is none
};

Result<Report> verify(const VerifyOptions& options);

std::string to_text(const Report& report);
Json to_json(const Report& report);

}  // namespace tenon::verify
