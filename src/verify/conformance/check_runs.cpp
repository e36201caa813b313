// Checks that run the model: one answer however it is computed, and the same after saving.
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "loader/loader.h"
#include "verify/conformance/conformance.h"
#include "verify/conformance/specimen.h"
#include "verify/conformance/tiny_checkpoint.h"

namespace tenon::verify {
namespace {

using tensor::DType;
namespace fs = std::filesystem;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (fs::temp_directory_path() / "tenon_check_XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The format of the matrices, and the float that is computed with where they are not quantized.
std::pair<DType, DType> formats(model::Encoding encoding) {
  if (encoding == model::Encoding::kFloat32) return {DType::kF32, DType::kF32};
  if (encoding == model::Encoding::kBFloat16) return {DType::kBF16, DType::kBF16};
  std::string name = model::name(encoding);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return {tensor::dtype_from_name(name).value(), DType::kBF16};
}

// What is not the same in this encoding.
Problems differences(const Specimen& specimen, model::Encoding encoding) {
  const auto [format, float_dtype] = formats(encoding);
  RandomWeights weights(specimen.graph, format);
  if (weights.matrices_of_format() == 0) {
    return {
        "not one matrix of the tiny model has rows of whole blocks, so that this format was not tried: "
        "give it sizes that are multiples of 32"};
  }
  const auto compiled = specimen.compile(weights, float_dtype);
  if (!compiled) return {"it does not compile: " + compiled.error().message};
  Runner& runner = **compiled;
  const std::vector<Ids> prompts = specimen.prompts();
  std::vector<Logits> alone;
  for (const Ids& ids : prompts) alone.push_back(runner.run(ids, kSpecimenTokens));
  Problems problems;
  const auto expect = [&](bool holds, const char* problem) {
    if (!holds) problems.emplace_back(problem);
  };
  for (const Logits& logits : alone) {
    if (std::ranges::all_of(logits, [](float x) { return std::isfinite(x); })) continue;
    return {"it computes values that are not finite"};
  }
  // Another token before the last (a window may hide those further back) must change the last one's result.
  if (Ids changed = prompts[0]; changed.size() > 1) {
    std::int32_t& before_last = changed[changed.size() - 2];
    before_last = (before_last + 1) % specimen.config->vocab_size;
    const auto vocab = static_cast<std::ptrdiff_t>(runner.vocab());
    const Logits other = runner.run(changed, kSpecimenTokens);
    expect(!std::equal(other.end() - vocab, other.end(), alone[0].end() - vocab),
           "the last token's result does not depend on the token before: does attention see it?");
  }
  if (specimen.architecture->task != model::Task::kEmbedding) {
    expect(runner.run(prompts[0], 7) == alone[0], "in chunks of 7 it computes other bits than whole");
    expect(runner.run(prompts[0], 1) == alone[0], "token by token it computes other bits than whole");
    expect(runner.run(prompts, 5) == alone, "in a batch in chunks of 5 it computes other bits than alone");
  }
  expect(runner.run(prompts, kSpecimenTokens) == alone, "in a batch it computes other bits than alone");
  return problems;
}

bool has(const model::Architecture& architecture, model::Encoding encoding) {
  return std::ranges::find(architecture.encodings, encoding) != architecture.encodings.end();
}

}  // namespace

Problems check_one_answer(const model::Architecture& architecture, const Json& config) {
  const auto specimen = Specimen::build(architecture, widened(config));
  if (!specimen) return {"the tiny config with rows of 256: " + specimen.error().message};
  Problems problems;
  for (const model::Encoding encoding : architecture.encodings) {
    for (const std::string& problem : differences(**specimen, encoding)) {
      problems.push_back(std::string(model::name(encoding)) + ": " + problem);
    }
  }
  if (!has(architecture, architecture.default_encoding)) {
    problems.push_back(std::string("the default encoding ") + model::name(architecture.default_encoding) +
                       " is not among its encodings");
  }
  return problems;
}

Problems check_save_and_reload(const model::Architecture& architecture, const Json& config) {
  const auto specimen = Specimen::build(architecture, config);
  if (!specimen) return {specimen.error().message};
  const auto adapter = model::adapter_of(architecture, model::Format::kSafetensors, *(*specimen)->config);
  if (!adapter) return {adapter.error().message};
  RandomWeights weights((*specimen)->graph, DType::kF32);
  const auto tensors = file_tensors(weights.all(), *adapter);
  if (!tensors) return {tensors.error().message};
  const TemporaryDirectory directory;
  if (const Status written = write_checkpoint(directory.path(), (*specimen)->json, *tensors); !written) {
    return {written.error().message};
  }

  const bool exact = has(architecture, model::Encoding::kFloat32);
  const auto compiled = (*specimen)->compile(weights, exact ? DType::kF32 : DType::kBF16);
  if (!compiled) return {"it does not compile: " + compiled.error().message};
  loader::LoadOptions options{.model = directory.path(),
                              .quantization_encoding = exact ? "float32" : "bfloat16",
                              .limits = (*compiled)->model().executable->limits()};
  ThreadPool pool(1);
  auto loaded =
      architecture.task == model::Task::kEmbedding ? loader::load_embedder(options, pool) : loader::load(options, pool);
  if (!loaded) return {"the saved checkpoint is not loaded: " + loaded.error().message};
  Runner reloaded(std::move(*loaded), 1);
  const Ids ids = (*specimen)->prompts()[0];
  if (reloaded.run(ids, kSpecimenTokens) == (*compiled)->run(ids, kSpecimenTokens)) return {};
  return {
      "the saved and reloaded checkpoint computes other bits: weight_adapters.cpp puts a tensor in another's place"};
}

}  // namespace tenon::verify
