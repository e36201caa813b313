#include "embedding_model.h"

#include <fstream>

namespace tenon::e2e {

void make_embedding_model(const std::filesystem::path& golden, const std::filesystem::path& to, int max_seq_length) {
  namespace fs = std::filesystem;
  fs::copy(fs::path(TENON_GOLDEN_DIR) / golden, to, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  Json vocab = {{"[PAD]", 0}, {"[CLS]", 1}, {"[SEP]", 2}, {"[UNK]", 3}};
  for (int i = 4; i < 96; ++i) vocab["w" + std::to_string(i)] = i;
  const auto special = [](const char* name, int id) {
    return Json{{"id", id},        {"content", name},     {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  };
  const auto piece = [](const char* kind, const char* id) { return Json{{kind, {{"id", id}, {"type_id", 0}}}}; };
  const auto of_template = [](const char* name, int id) {
    return Json{{"id", name}, {"ids", Json::array({id})}, {"tokens", Json::array({name})}};
  };
  const Json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", Json::array({special("[CLS]", 1), special("[SEP]", 2)})},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single",
         Json::array({piece("SpecialToken", "[CLS]"), piece("Sequence", "A"), piece("SpecialToken", "[SEP]")})},
        {"pair", Json::array({piece("Sequence", "A"), piece("Sequence", "B")})},
        {"special_tokens", {{"[CLS]", of_template("[CLS]", 1)}, {"[SEP]", of_template("[SEP]", 2)}}}}},
      {"decoder", nullptr},
      {"model", {{"type", "WordLevel"}, {"vocab", vocab}, {"unk_token", "[UNK]"}}}};
  std::ofstream(to / "tokenizer.json") << tokenizer.dump();
  if (max_seq_length == 0) return;
  const std::string module = "sentence_transformers.models.";
  const auto entry = [&](int i, const char* kind, const char* path) {
    return Json{{"idx", i}, {"name", std::to_string(i)}, {"path", path}, {"type", module + kind}};
  };
  std::ofstream(to / "modules.json") << Json::array(
      {entry(0, "Transformer", ""), entry(1, "Pooling", "1_Pooling"), entry(2, "Normalize", "2_Normalize")});
  fs::create_directories(to / "1_Pooling");
  std::ofstream(to / "1_Pooling" / "config.json") << Json{{"pooling_mode_mean_tokens", true}};
  std::ofstream(to / "sentence_bert_config.json") << Json{{"max_seq_length", max_seq_length}, {"do_lower_case", false}};
}

}  // namespace tenon::e2e
