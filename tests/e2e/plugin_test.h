// What the tests of --custom-architectures share.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "server_process.h"

namespace tenon::e2e {

inline constexpr int kCompileSeconds = 300;  ///< on a machine that is busy with other tests

inline const std::filesystem::path kSource = std::filesystem::path(TENON_DATA_DIR) / ".." / "..";
inline const std::filesystem::path kExample = kSource / "examples" / "custom_architecture";

class PluginTest : public testing::Test {
 protected:
  // One cache for all tests of the process, so that the same sources compile once.
  static void SetUpTestSuite() {
    static TempDir cache;
    setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  }
  std::filesystem::path folder(const std::string& name) {
    std::filesystem::create_directory(dir_.path() / name);
    return dir_.path() / name;
  }
  static void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  // A folder `name` that compiles: `code` and an architecture called `class_name`.
  std::filesystem::path plugin(const std::string& name, const std::string& class_name, const std::string& code = "",
                               const std::string& also = "") {
    const std::filesystem::path path = folder(name);
    write(path / "arch.cpp", R"(#include "model/sdk.h"
namespace tenon::architectures::)" +
                                 name + R"( {
using namespace model;
std::shared_ptr<ModelConfig> parse(ConfigReader&) { return std::make_shared<ModelConfig>(); }
std::unique_ptr<PipelineModel> make_model(std::shared_ptr<const ModelConfig>) { return nullptr; }
WeightAdapter names(const ModelConfig&) { return {}; }
const Architecture& architecture() {
  static const Architecture arch{.name = ")" +
                                 class_name + R"(", .parse_config = parse, .make_model = make_model,
                                 .adapters = {{Format::kSafetensors, names}}, .also = {)" +
                                 also + R"(}};
  return arch;
}
}
)" + code);
    return path;
  }
  static Finished list(const std::vector<std::filesystem::path>& paths) {
    std::vector<std::string> arguments = {"list", "--json"};
    for (const auto& path : paths) arguments.insert(arguments.end(), {"--custom-architectures", path.string()});
    return run(arguments, kCompileSeconds);
  }
  // What `tenon list` says against the plug-ins, which must be an error.
  static std::string refusal(const std::vector<std::filesystem::path>& paths) {
    const Finished end = list(paths);
    EXPECT_EQ(end.status, 1) << end.out << end.err;
    const auto at = end.err.find("tenon: ");
    EXPECT_NE(at, std::string::npos) << end.err;
    return at == std::string::npos ? "" : end.err.substr(at);
  }

 private:
  TempDir dir_;
};

}  // namespace tenon::e2e
