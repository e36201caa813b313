// verify/reference.h: a dump is the prompts, logits and taps that it promises, or an error that says why.
#include <cmath>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "temporary_files.h"
#include "verify/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  static fuzz::TemporaryDirectory directory;
  spdlog::set_level(spdlog::level::off);
  directory.write("dump.safetensors", {reinterpret_cast<const char*>(data), size});
  const std::string path = directory.path("dump.safetensors");
  const auto reference = verify::read_reference(path);
  if (!reference) {
    TENON_CHECK(!reference.error().message.empty() && reference.error().code != ErrorCode::kInternal);
    return 0;
  }
  TENON_CHECK(!reference->prompts.empty() && reference->prompts.size() == reference->logits.size());
  for (std::size_t i = 0; i < reference->prompts.size(); ++i) {
    TENON_CHECK(reference->logits[i].size() ==
                reference->prompts[i].size() * static_cast<std::size_t>(reference->vocab));
    for (const std::int32_t id : reference->prompts[i]) TENON_CHECK(id >= 0 && id < reference->vocab);
    for (const float x : reference->logits[i]) TENON_CHECK(std::isfinite(x));
  }
  for (const std::string& name : reference->tensors->names()) {
    if (!name.starts_with("tap.")) continue;
    const auto tap = reference->tap(name.substr(4));
    TENON_CHECK(tap && tap->values.size() == reference->prompts[0].size() * static_cast<std::size_t>(tap->width));
  }
  // Against a configuration of the same names, and others.
  const Json config = {
      {"hidden_size", 2}, {"num_hidden_layers", "x"}, {"rope_theta", 1e4}, {"text_config", {{"a", 1}}}};
  const auto same = verify::check_same_model(*reference, path, "LlamaForCausalLM", 4, config);
  TENON_CHECK(same || !same.error().message.empty());
  for (const std::string& difference : verify::config_differences(*reference, config)) TENON_CHECK(!difference.empty());
  return 0;
}
