#include "verify/verify.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "loader/prepare.h"
#include "loader/source.h"

namespace tenon::verify {
namespace {

namespace fs = std::filesystem;

// config.json as it lies beside the weights; null for a GGUF file.
Json config_of(const loader::LoadOptions& options) {
  const auto source = loader::find_model(options.model, options.revision);
  if (!source || source->directory.empty()) return nullptr;
  auto config = read_json_file((fs::path(source->directory) / "config.json").string());
  return config && config->is_object() ? std::move(*config) : Json(nullptr);
}

// Taps of the last run beside the reference's, in the order of the model.
Result<std::vector<TapRow>> compare_taps(const Runner& runner, const Reference& reference, std::int64_t rows,
                                         double tolerance) {
  std::vector<TapRow> out;
  for (const runtime::Tap& tap : runner.model().executable->taps()) {
    const auto expected = reference.tap(tap.name);
    if (!expected) continue;
    const std::int64_t width = expected->width;
    const auto size = static_cast<std::size_t>(rows * width);
    if (tap.values.size() != size) {
      return invalid("the reference dump is of another model: tap " + tap.name + " is " + std::to_string(width) +
                         " wide there and " + std::to_string(static_cast<std::int64_t>(tap.values.size()) / rows) +
                         " here",
                     "reference");
    }
    out.push_back({tap.name, compare_rows(std::span(expected->values).first(size), tap.values, width, tolerance)});
  }
  return out;
}

bool within(const Difference& d, const Tolerance& t) {
  return std::isfinite(d.max_abs) && d.kl_mean <= t.kl_mean && d.kl_max <= t.kl_max;
}

// In float32 a wrong activation or epsilon may be too small for the logits' tolerance: the layers still show it.
bool rounds_too_much(const Report& report, const Reference& reference) {
  return report.encoding == "float32" && local_tolerance(reference.dtype) == local_tolerance("float32") &&
         std::ranges::any_of(report.taps, [](const TapRow& tap) { return tap.difference.error > kRounding; });
}

Result<Diagnosis> explain(const VerifyOptions& options, const Reference& reference, const Json& config,
                          std::int64_t rows, double tolerance) {
  TENON_ASSIGN(const loader::PreparedModel prepared, loader::prepare(options.load, /*strict=*/true));
  loader::CheckpointWeights bound(prepared.checkpoint, prepared.weights);
  Subject subject{.graph = prepared.graph.get(), .weights = {}, .background = {.config = config, .unused = {}}};
  for (const std::string& name : prepared.weights.ignored) {
    subject.background.unused[name] = prepared.checkpoint->find(name)->shape;
  }
  subject.weights = [&](const std::string& name) -> Result<tensor::RowView> {
    if (prepared.weights.bindings.contains(name)) return bound.weight(name);
    const tensor::TensorView* stored = prepared.checkpoint->find(name);
    if (stored == nullptr) return fail(ErrorCode::kNotFound, "the checkpoint has no tensor " + name);
    return model::transformed(*stored, {}, name);
  };
  ThreadPool pool(options.threads);
  return diagnose(subject, reference, rows, pool, tolerance);
}

}  // namespace

Result<Report> verify(const VerifyOptions& options) {
  TENON_ASSIGN(const Reference reference, read_reference(options.reference));
  const Json config = config_of(options.load);
  std::size_t longest = 0;
  for (const Ids& ids : reference.prompts) longest = std::max(longest, ids.size());
  constexpr std::size_t kMostAtOnce = 1024;  // tokens: the arena keeps every tap of them
  const int chunk = static_cast<int>(std::min(longest, kMostAtOnce));
  VerifyOptions chosen = options;
  loader::LoadOptions& load = chosen.load;
  load.taps = reference.has_taps();
  // A longer context than the dump's may have another rope (LongRoPE, dynamic), where transformers goes by the prompt.
  if (load.max_length == 0) load.max_length = static_cast<int>(longest);
  auto loaded = Runner::load(load, options.threads, chunk, 1);
  if (!loaded) {
    const bool too_long = options.load.max_length == 0 && loaded.error().param == "max_length";
    return too_long ? wrap(loaded.error(), "the reference dump's longest prompt") : std::unexpected(loaded.error());
  }
  const std::unique_ptr<Runner> runner = std::move(*loaded);

  Report report{.model = options.load.model,
                .architecture = runner->model().architecture,
                .encoding = runner->model().encoding,
                .reference = options.reference,
                .tolerance = tolerance_of(runner->model().encoding)};
  TENON_TRY(check_same_model(reference, options.reference, report.architecture, runner->vocab(), config));
  if (static_cast<int>(longest) > runner->model().max_length) {
    return invalid("the reference dump has a prompt of " + std::to_string(longest) + " tokens, but the context is " +
                       std::to_string(runner->model().max_length) + ": give --max-length, or make a shorter dump",
                   "reference");
  }
  if (!reference.writer.empty()) {
    report.reference += " (" + reference.writer + (reference.dtype.empty() ? "" : ", " + reference.dtype) + ")";
  }
  report.config_differences = config_differences(reference, config);
  if (!runs(reference, report.architecture)) {
    report.config_differences.push_back("the dump was made of a " + reference.architecture +
                                        ", as which this GGUF file does not name itself: it is read as a " +
                                        report.architecture);
  }

  const Ids& first = reference.prompts[0];
  const auto rows = std::min(static_cast<std::int64_t>(first.size()), static_cast<std::int64_t>(chunk));
  runner->run(Ids(first.begin(), first.begin() + rows), chunk);
  TENON_ASSIGN(report.taps, compare_taps(*runner, reference, rows, report.tolerance.tap));
  for (const std::string& name : reference.tensors->names()) {
    const auto matches = [&](const TapRow& row) { return name == "tap." + row.name; };
    if (name.starts_with("tap.") && std::ranges::none_of(report.taps, matches)) {
      report.unmatched_taps.push_back(name.substr(4));
    }
  }
  std::int64_t first_row = rows;
  for (const TapRow& tap : report.taps) first_row = std::min(first_row, tap.difference.first);
  for (std::size_t n = 0; n < reference.prompts.size(); ++n) {
    const Logits ours = runner->run(reference.prompts[n], chunk);
    accumulate(report.logits, compare(reference.logits[n], ours, runner->vocab()));
  }
  report.agrees = within(report.logits, report.tolerance);
  if (report.agrees && !rounds_too_much(report, reference)) return report;

  // Enough tokens to see what diverges and to tell causes apart; each costs time.
  constexpr std::int64_t kEnough = 64, kBeyond = 16;
  auto diagnosis = explain(chosen, reference, config, std::max(kEnough, std::min(first_row + kBeyond, rows)),
                           report.agrees ? kRounding : 0);
  if (report.agrees && (!diagnosis || diagnosis->first.empty())) return report;  // it adds up over the layers
  if (diagnosis) {
    report.diagnosis = std::move(*diagnosis);
  } else {
    report.no_diagnosis = diagnosis.error().message;
  }
  return report;
}

}  // namespace tenon::verify
