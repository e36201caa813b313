// --custom-architectures: the example and a built-in family's own folder as plug-ins, and all that can be wrong with
// one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "base/file.h"
#include "base/json.h"
#include "plugin_test.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

class CustomArchitecture : public PluginTest {};

TEST_F(CustomArchitecture, TheExampleIsCompiledListedAndFitsItsCheckpoint) {
  const Finished listed = list({kExample / "glm4"});
  ASSERT_EQ(listed.status, 0) << listed.err;
  EXPECT_THAT(listed.out, AllOf(HasSubstr("Glm4ForCausalLM"), HasSubstr("LlamaForCausalLM")));
  const std::vector<std::string> with = {(kExample / "glm4/tiny").string(), "--custom-architectures",
                                         (kExample / "glm4").string()};
  std::vector<std::string> inspect = {"inspect"},
                           bench = {"bench", "--prompt-tokens", "16", "--new-tokens", "4", "--repeat",
                                    "1",     "--threads",       "1"};
  inspect.insert(inspect.end(), with.begin(), with.end());
  bench.insert(bench.end(), with.begin(), with.end());
  const Finished inspected = run(inspect, kCompileSeconds);
  EXPECT_EQ(inspected.status, 0) << inspected.err;
  EXPECT_THAT(inspected.out, AllOf(HasSubstr("architecture Glm4ForCausalLM (family glm4)"), HasSubstr(" 0 problems")));
  const Finished ran = run(bench, kCompileSeconds);
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.err, testing::Not(HasSubstr("compiling"))) << "the cache was not used";
  const Finished checked = run({"check", (kExample / "glm4").string()});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  EXPECT_THAT(checked.out, AllOf(HasSubstr("Glm4ForCausalLM (family glm4)"), HasSubstr("ok    OneAnswer"),
                                 testing::Not(HasSubstr("FAIL"))));
}

TEST_F(CustomArchitecture, NewMakesAFolderThatPassesItsCheck) {
  const fs::path made = folder("new") / "novel", config = folder("new") / "config.json", tiny = folder("new") / "tiny";
  Json json = *read_json_file((fs::path(TENON_DATA_DIR) / "stories260K" / "config.json").string());
  json["architectures"] = Json::array({"NovelForCausalLM"});
  json["model_type"] = "novel";
  json["clip_everything"] = 3.5;
  write(config, json.dump());
  // The unknown architecture names the command; it is run as it says.
  const Finished unknown = run({"inspect", config.parent_path().string()});
  EXPECT_THAT(unknown.err, HasSubstr("`tenon new NovelForCausalLM --from llama --config " + config.string() + "`"));
  const std::vector<std::string> command = {"new",      "NovelForCausalLM", "--from",   "llama",
                                            "--config", config.string(),    "--output", made.string()};
  const Finished scaffolded = run(command);
  ASSERT_EQ(scaffolded.status, 0) << scaffolded.err;
  EXPECT_THAT(scaffolded.out, AllOf(HasSubstr("\"clip_everything\" = 3.5 is not read by llama"),
                                    HasSubstr("tenon check " + made.string())));
  const Finished checked = run({"check", made.string(), "--keep", tiny.string()}, kCompileSeconds);
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  EXPECT_THAT(checked.out, AllOf(HasSubstr("NovelForCausalLM (family novel)"), testing::Not(HasSubstr("FAIL"))));
  const Finished inspected = run({"inspect", tiny.string(), "--custom-architectures", made.string()});
  EXPECT_THAT(inspected.out, AllOf(HasSubstr("architecture NovelForCausalLM"), HasSubstr(" 0 problems")));
  const Finished ran = run({"bench", tiny.string(), "--custom-architectures", made.string(), "--prompt-tokens", "16",
                            "--new-tokens", "4", "--repeat", "1", "--threads", "1"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  const Finished again = run(command);
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.err, HasSubstr("exists, and nothing is overwritten"));
}

// Of configs that leave sizes to the donor's defaults: GPT-2's, which has hardly a field of the donor's, and one of
// images and text that says little of the text.
TEST_F(CustomArchitecture, NewFromTheNearestPassesItsCheckToo) {
  const std::pair<std::string, std::string> configs[] = {
      {"GPT2LMHeadModel", R"("vocab_size": 50257, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024)"},
      {"Gemma3ThriftyForConditionalGeneration", R"("text_config": {"hidden_size": 2560, "intermediate_size": 10240,
         "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024})"}};
  for (const auto& [name, fields] : configs) {
    const fs::path config = folder(name) / "config.json", made = folder(name) / "novel";
    write(config, R"({"architectures": [")" + name + R"("], )" + fields + "}");
    const Finished scaffolded = run({"new", name, "--config", config.string(), "--output", made.string()});
    ASSERT_EQ(scaffolded.status, 0) << scaffolded.err;
    const Finished checked = run({"check", made.string()}, kCompileSeconds);
    EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
    EXPECT_THAT(checked.out, AllOf(HasSubstr(name + " (family novel)"), testing::Not(HasSubstr("FAIL"))));
  }
}

TEST_F(CustomArchitecture, ABuiltInFoldersCopyOverridesItAndServesTheSame) {
  const fs::path copy = folder("llama");
  fs::copy(kSource / "src" / "architectures" / "llama", copy,
           fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  const std::string body = R"({"model": "tiny", "prompt": "Once upon", "max_tokens": 8, "temperature": 0})";
  const Finished listed = list({copy});  // compiles it
  ASSERT_EQ(listed.status, 0) << listed.err;
  TinyServer custom(false, {"--custom-architectures", copy.string()}), built_in;
  EXPECT_THAT(custom.process().err(), AllOf(HasSubstr("overrides the built-in"), HasSubstr("LlamaForCausalLM")));
  const auto text = [&](std::uint16_t port) {
    const auto reply = request(port, "POST", "/v1/completions", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return parse_json(reply.body, "reply")->at("choices").at(0).at("text").get<std::string>();
  };
  EXPECT_EQ(text(custom.port()), text(built_in.port()));
}

TEST_F(CustomArchitecture, APathThatIsNotThere) {
  EXPECT_THAT(refusal({"/no/such/folder"}), HasSubstr("/no/such/folder cannot be found"));
}

TEST_F(CustomArchitecture, AnEmptyFolder) { EXPECT_THAT(refusal({folder("nothing")}), HasSubstr("empty folder")); }

TEST_F(CustomArchitecture, NoCppFiles) {
  const fs::path path = folder("python");
  write(path / "model.py", "class Model: pass\n");
  EXPECT_THAT(refusal({path}), HasSubstr("has no .cpp files"));
  EXPECT_THAT(refusal({path / "model.py"}), HasSubstr("neither a folder nor a .so"));
  // The folder above the one that is meant.
  fs::create_directory(path / "novel");
  write(path / "novel" / "arch.cpp", "");
  EXPECT_THAT(refusal({path}), HasSubstr("did you mean " + (path / "novel").string() + "?"));
}

TEST_F(CustomArchitecture, ACompileErrorIsShownWithItsFileAndLine) {
  const fs::path path = folder("broken");
  write(path / "arch.cpp", "int f() {\n  return undeclared_thing;\n}\n");
  EXPECT_THAT(refusal({path}), AllOf(HasSubstr("does not compile"), HasSubstr("broken/arch.cpp:2:10: error:"),
                                     HasSubstr("undeclared_thing")));
}

TEST_F(CustomArchitecture, NoArchitectureInIt) {
  const fs::path path = folder("hollow");
  write(path / "arch.cpp", "int f() { return 1; }\n");
  EXPECT_THAT(refusal({path}), HasSubstr("tenon::architectures::hollow::architecture()"));
}

TEST_F(CustomArchitecture, AnotherAbiOrNone) {
  const fs::path path = folder("libraries");
  write(path / "none.so", "not a library");
  EXPECT_THAT(refusal({path / "none.so"}), HasSubstr("is not a plug-in of Tenon"));
  write(path / "old.so", std::string("\x7f"
                                     "ELF tenon-plugin-abi: tenon 0.0.1, libstdc++ 5, SDK 0") +
                             '\0');
  EXPECT_THAT(refusal({path / "old.so"}), AllOf(HasSubstr("built for another Tenon (tenon 0.0.1"), HasSubstr("again")));
}

TEST_F(CustomArchitecture, ACrashWhileLoading) {
  const fs::path path = plugin("crashing", "Crashing", "static const int crash = [] { std::abort(); return 1; }();\n");
  EXPECT_THAT(refusal({path}),
              AllOf(HasSubstr("crashing: plug-in "), HasSubstr("crashed (Aborted)"), HasSubstr("while it was loaded")));
}

TEST_F(CustomArchitecture, AnExceptionWhileLoadingOrBuilding) {
  const fs::path loading = plugin(
      "throwing", "Throwing", "static const int thrown = [] { throw std::runtime_error(\"boom\"); return 1; }();\n");
  const std::string said = refusal({loading});
  EXPECT_THAT(said, AllOf(HasSubstr("throwing: plug-in "), HasSubstr("threw an exception while it was loaded: boom")));
  EXPECT_EQ(std::ranges::count(said, '\n'), 1);

  const fs::path model = folder("of_nothing");
  write(model / "config.json", R"({"architectures": ["MakesNothing"]})");
  const fs::path nothing = plugin("nothing", "MakesNothing");
  const Finished end = run({"inspect", model.string(), "--custom-architectures", nothing.string()}, kCompileSeconds);
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, HasSubstr("make_model of the architecture MakesNothing returned null"));
}

// In the functions of a plug-in that make a model, after it was loaded.
TEST_F(CustomArchitecture, ACrashOrAnEndlessLoopWhileTheModelIsMade) {
  const fs::path model = folder("of_it"), config = model / "config.json";
  write(config, R"({"architectures": ["Faulty"]})");
  const fs::path path = plugin("faulty", "Faulty");
  const std::string text = read_file((path / "arch.cpp").string()).value();
  // What `tenon ARGUMENTS` says once arch.cpp has `now` in the place of `was`.
  const auto refusal_with = [&](const std::string& was, const std::string& now,
                                const std::vector<std::string>& arguments) {
    std::string changed = text;
    const auto at = text.find(was);
    EXPECT_NE(at, std::string::npos) << was;
    write(path / "arch.cpp", changed.replace(at, was.size(), now));
    const Finished end = run(arguments, kCompileSeconds);
    EXPECT_EQ(end.status, 1) << end.out << end.err;
    const std::string said = end.err.substr(std::min(end.err.find("tenon: "), end.err.size()));
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
    return said;
  };
  const std::vector<std::string> inspect = {"inspect", model.string(), "--custom-architectures", path.string()};
  const std::string parse = "return std::make_shared<ModelConfig>();", make = "return nullptr;";
  EXPECT_THAT(refusal_with(make, "std::abort();", inspect),
              AllOf(HasSubstr("architecture Faulty from " + path.string() + " crashed (Aborted)"),
                    HasSubstr("while it read the config and built the graph")));
  EXPECT_THAT(refusal_with(make, "std::abort();", {"check", path.string(), "--config", config.string()}),
              HasSubstr(" crashed (Aborted)"));
  EXPECT_THAT(refusal_with(parse, "for (volatile int i = 0;; i = i + 1) {}", inspect),
              HasSubstr("did not finish making the model within 10 s: look for an endless loop in parse_config"));
  EXPECT_THAT(refusal_with(parse, "throw std::runtime_error(\"boom\");", inspect),
              HasSubstr("the architecture Faulty threw an exception: boom"));
}

TEST_F(CustomArchitecture, ACheckOfAConfigThatIsAnotherClasss) {
  const auto refusal_of = [&](const fs::path& config) {
    const Finished end = run({"check", "llama", "--config", config.string()});
    EXPECT_EQ(end.status, 1) << end.out << end.err;
    EXPECT_EQ(end.out, "");
    return end.err;
  };
  const fs::path golden = kSource / "tests" / "golden", list = folder("configs") / "list.json";
  EXPECT_THAT(refusal_of(golden / "mistral" / "full_head_dim" / "config.json"),
              HasSubstr("the config is of \"MistralForCausalLM\", and what is checked is LlamaForCausalLM"));
  write(list, "[1]");
  EXPECT_THAT(refusal_of(list), HasSubstr("list.json: the file is not a JSON object"));
}

TEST_F(CustomArchitecture, AnEndlessLoopWhileLoading) {
  const fs::path path = plugin("looping", "Looping",
                               "static const int loop = [] { for (volatile int i = 0;; i = i + 1) {} return 1; }();\n");
  EXPECT_THAT(refusal({path}), AllOf(HasSubstr("looping: plug-in "), HasSubstr("did not finish loading within 10 s")));
}

TEST_F(CustomArchitecture, AProcessThatIsLeftBehindWhileLoading) {
  const fs::path path = plugin("forking", "Forking", R"(#include <unistd.h>
static const int forked = [] {
  if (::fork() != 0) return 1;
  for (const int fd : {0, 1, 2}) ::close(fd);
  ::sleep(20);
  ::_exit(0);
}();
)");
  ASSERT_EQ(list({path}).status, 0);
  const auto begin = std::chrono::steady_clock::now();
  const Finished listed = list({path});  // from the cache
  EXPECT_EQ(listed.status, 0) << listed.err;
  EXPECT_THAT(listed.out, HasSubstr("Forking"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST_F(CustomArchitecture, TwoOfOneName) {
  EXPECT_THAT(refusal({plugin("first", "SameName"), plugin("second", "SameName")}),
              AllOf(HasSubstr("first"), HasSubstr("second"), HasSubstr("are both for SameName")));
  EXPECT_THAT(refusal({plugin("third", "ThirdName"), plugin("fourth", "FourthName", "", "\"ThirdName\"")}),
              AllOf(HasSubstr("third"), HasSubstr("fourth"), HasSubstr("are both for ThirdName")));
}

TEST_F(CustomArchitecture, AWeightThatIsLeftUnusedOrAskedForTwice) {
  const fs::path path = folder("strict") / "glm4";
  fs::copy(kExample / "glm4", path);
  const std::string model = read_file((path / "model.cpp").string()).value();
  // What the program says once model.cpp has `now` in the place of `was`.
  const auto refusal_with = [&](const std::string& was, const std::string& now) {
    std::string text = model;
    const auto at = text.find(was);
    EXPECT_NE(at, std::string::npos) << was;
    write(path / "model.cpp", text.replace(at, was.size(), now));
    const Finished end =
        run({"bench", (kExample / "glm4/tiny").string(), "--custom-architectures", path.string()}, kCompileSeconds);
    EXPECT_EQ(end.status, 1) << end.out << end.err;
    return end.err.substr(std::min(end.err.find("tenon: "), end.err.size()));
  };
  EXPECT_THAT(
      refusal_with("v_proj(w / \"v_proj\", c.hidden_size, c.num_key_value_heads * c.head_dim, c.attention_bias)",
                   "v_proj(w / \"v_proj\", c.hidden_size, c.num_key_value_heads * c.head_dim)"),
      AllOf(HasSubstr("tensor model.layers.0.self_attn.v_proj.bias in "),
            HasSubstr("is not used by the architecture and not listed as ignored")));
  // `tenon inspect` lists them all, and does not pass.
  const Finished inspected =
      run({"inspect", (kExample / "glm4/tiny").string(), "--custom-architectures", path.string()}, kCompileSeconds);
  EXPECT_EQ(inspected.status, 1);
  EXPECT_THAT(inspected.out,
              AllOf(HasSubstr(" 2 problems;"), HasSubstr("problem: tensor model.layers.1.self_attn.v_")));
  EXPECT_THAT(inspected.err,
              AllOf(HasSubstr("tenon: the tensors of "), HasSubstr("do not fit the architecture: tensor "),
                    HasSubstr("the first of 2 problems")));
  EXPECT_THAT(refusal_with("post_mlp_layernorm(w / \"post_mlp_layernorm\"",
                           "post_mlp_layernorm(w / \"post_attention_layernorm\""),
              HasSubstr("weight model.layers.0.post_attention_layernorm.weight is asked for twice: "));
}

TEST_F(CustomArchitecture, AWorldWritablePath) {
  const fs::path path = plugin("shared", "Shared");
  fs::permissions(path / "arch.cpp", fs::perms::others_write, fs::perm_options::add);
  EXPECT_THAT(refusal({path}), AllOf(HasSubstr("arch.cpp"), HasSubstr("writable by everybody")));
  fs::permissions(path / "arch.cpp", fs::perms::others_write, fs::perm_options::remove);
  fs::permissions(path, fs::perms::others_write, fs::perm_options::add);
  EXPECT_THAT(refusal({path}), HasSubstr("writable by everybody"));
}

}  // namespace
}  // namespace tenon::e2e
