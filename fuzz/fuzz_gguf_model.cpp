// loader/prepare.h and tokenizer/tokenizer.h: the metadata of a GGUF file is a configuration, a graph and a tokenizer,
// or an error that says why. The container alone has a fuzzer of its own.
#include <cstdint>
#include <span>
#include <string>

#include "prepared_model.h"
#include "temporary_files.h"
#include "tokenizer/tokenizer.h"
#include "weights/gguf_file.h"

namespace {

using namespace tenon;

void check_tokenizer(const Json& metadata) {
  const auto tokenizer = tokenizer::Tokenizer::from_gguf(metadata);
  if (!tokenizer) return fuzz::check_error(tokenizer.error());
  const auto ids = (*tokenizer)->encode("Hello, wörld  1\n", true);
  if (!ids) return fuzz::check_error(ids.error());
  for (const std::int32_t id : *ids) TENON_CHECK(id >= 0 && id < (*tokenizer)->vocab_size());
  const auto text = (*tokenizer)->decode(*ids, false);
  if (!text) fuzz::check_error(text.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::TemporaryDirectory directory;
  spdlog::set_level(spdlog::level::off);
  const auto parsed = weights::parse_gguf({reinterpret_cast<const std::byte*>(data), size}, "input");
  if (!parsed || fuzz::has_many_parts(parsed->metadata)) return 0;
  check_tokenizer(parsed->metadata);
  directory.write("model.gguf", {reinterpret_cast<const char*>(data), size});
  loader::LoadOptions options;
  options.model = directory.path("model.gguf");
  const auto prepared = loader::prepare(options, false);
  prepared ? fuzz::check_prepared(*prepared) : fuzz::check_error(prepared.error());
  return 0;
}
