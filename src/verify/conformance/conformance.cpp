#include "verify/conformance/conformance.h"

#include <algorithm>
#include <filesystem>

#include "loader/loader.h"
#include "model/plugin/trial.h"
#include "verify/conformance/specimen.h"
#include "verify/conformance/tiny_checkpoint.h"

namespace tenon::verify {
namespace {

namespace fs = std::filesystem;

constexpr ConformanceCheck kChecks[] = {
    {"OneAnswer", "in every encoding: whole, in chunks, token by token, alone and in a batch, the same bits",
     check_one_answer},
    {"SaveAndReload", "a SafeTensors checkpoint, reloaded, computes the same bits", check_save_and_reload},
    {"StrictWeights", "a missing, an unknown and a misshaped tensor are each refused by name", check_strict_weights},
    {"GgufNames", "every weight has a name in GGUF files, if the architecture reads these", check_gguf_names},
    {"ConfigRoundTrip", "what was understood of config.json, written out, is the same model", check_config_round_trip},
    {"UnknownVariants", "unknown activations, rope types, … and fields that are not read are refused by name",
     check_unknown_variants},
};

// Of the path of a plug-in, which is loaded, or of a name.
Result<model::RegistryEntry> find_entry(const std::string& architecture) {
  const bool is_path = architecture.find('/') != std::string::npos || fs::exists(architecture);
  if (is_path) TENON_TRY(loader::load_custom_architectures({architecture}));
  std::error_code error;
  const fs::path canonical = is_path ? fs::canonical(architecture, error) : fs::path();
  std::vector<std::string> names;
  for (const model::RegistryEntry& entry : model::registry()) {
    if (is_path ? entry.origin == canonical
                : (entry.family == architecture || model::serves(*entry.architecture, architecture)))
      return entry;
    names.emplace_back(entry.family), names.emplace_back(entry.architecture->name);
    names.insert(names.end(), entry.architecture->also.begin(), entry.architecture->also.end());
  }
  const std::string near = nearest_name(architecture, names);
  return fail(ErrorCode::kNotFound, "architecture " + architecture +
                                        " is neither a folder, a .so, nor a registered architecture" +
                                        (near.empty() ? ": tenon list shows these" : "; did you mean " + near + "?"));
}

// Another class's config would be checked as if it were this one's, and might even pass.
Status check_class(const model::Architecture& architecture, const Json& config) {
  if (!config.is_object()) return invalid("the file is not a JSON object, as a config.json is");
  const std::string stated = model::class_of(config);
  if (stated.empty() || model::serves(architecture, stated)) return {};
  const std::string checked(architecture.name);
  return invalid("the config is of " + Json(stated).dump() + ", and what is checked is " + checked +
                 ": give a config.json of " + checked);
}

Status keep(const Specimen& specimen, const std::string& directory) {
  std::error_code error;
  if (fs::exists(directory, error) && !fs::is_empty(directory, error)) {
    return invalid(directory + " is not empty: choose another place for the tiny checkpoint");
  }
  TENON_ASSIGN(const model::WeightAdapter adapter,
               model::adapter_of(*specimen.architecture, model::Format::kSafetensors, *specimen.config));
  const RandomWeights weights(specimen.graph, tensor::DType::kF32);
  TENON_ASSIGN(const std::vector<FileTensor> tensors, file_tensors(weights.all(), adapter));
  return write_checkpoint(directory, specimen.json, tensors);
}

}  // namespace

std::span<const ConformanceCheck> conformance_checks() { return kChecks; }

bool CheckReport::passed() const {
  return std::ranges::all_of(lines, [](const Line& line) { return line.problems.empty(); });
}

Result<CheckReport> check(const CheckOptions& options) {
  CheckReport report;
  TENON_ASSIGN(report.entry, find_entry(options.architecture));
  report.config = options.config;
  if (report.config.empty()) {
    report.config = (fs::path(options.architecture) / "tiny" / "config.json").string();
    if (!fs::exists(report.config)) {
      return fail(ErrorCode::kNotFound, "there is no " + report.config +
                                            ": give the config.json of a tiny model (hidden_size 64, "
                                            "num_hidden_layers 2, …) by --config");
    }
  }
  TENON_ASSIGN(const Json config, read_json_file(report.config));
  const model::Architecture& architecture = *report.entry.architecture;
  if (auto fits = check_class(architecture, config); !fits) return wrap(fits.error(), report.config);
  TENON_TRY(model::try_plugin(report.entry, [&] { (void)Specimen::build(architecture, config); }));
  auto specimen = Specimen::build(architecture, config);
  if (!specimen) return wrap(specimen.error(), report.config);
  report.parameters = (*specimen)->parameters();
  for (const ConformanceCheck& check : kChecks) report.lines.push_back({&check, check.run(architecture, config)});
  if (!options.keep.empty()) TENON_TRY(keep(**specimen, options.keep));
  return report;
}

std::string to_text(const CheckReport& report) {
  std::string text = std::string(report.entry.architecture->name) + " (family " + std::string(report.entry.family) +
                     ") on " + report.config + ": " + std::to_string(report.parameters) + " random weights\n";
  for (const CheckReport::Line& line : report.lines) {
    text += (line.problems.empty() ? "ok    " : "FAIL  ") + std::string(line.check->name) + ": " +
            std::string(line.check->promise) + "\n";
    for (const std::string& problem : line.problems) text += "      - " + problem + "\n";
  }
  return text;
}

}  // namespace tenon::verify
