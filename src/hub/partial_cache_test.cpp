// What is said of a cache that is not enough, and of a hub that cannot be asked for the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "base/log.h"
#include "hub/hub_fixture.h"

namespace tenon::hub {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class PartialCache : public Hub {
 protected:
  HubRequest offline(const std::string& repo = "org/name") const {
    HubRequest r = request(repo);
    r.config.offline = true;
    return r;
  }
};

TEST_F(PartialCache, NamesEveryFileThatIsMissing) {
  const auto whole = get();
  ASSERT_TRUE(whole) << whole.error().message;
  fs::remove(whole->directory + "/tokenizer.json");
  EXPECT_THAT(error(offline()),
              AllOf(HasSubstr("org/name (main) is only in part in the cache " + cache_ + ": tokenizer.json is missing"),
                    HasSubstr("HF_HUB_OFFLINE forbids a download")));
  fs::remove(whole->directory + "/config.json");
  fs::remove(whole->directory + "/model.safetensors");
  EXPECT_THAT(error(offline()), HasSubstr("config.json, tokenizer.json, model.safetensors are missing"));
  EXPECT_TRUE(get());
  EXPECT_TRUE(fetch(offline())) << error(offline());
}

TEST_F(PartialCache, NamesTheGgufFilesThatAreThere) {
  hub_.files.erase("model.safetensors");
  hub_.files["m-Q4_0.gguf"] = {.contents = "GGUF4", .lfs = true};
  hub_.files["m-Q8_0.gguf"] = {.contents = "GGUF8", .lfs = true};
  ASSERT_TRUE(fetch(request("org/name/m-Q8_0.gguf")));
  EXPECT_THAT(error(offline()),
              AllOf(HasSubstr("has no SafeTensors in the cache"),
                    HasSubstr("GGUF files: m-Q8_0.gguf; name one of them, as in org/name/m-Q8_0.gguf"),
                    HasSubstr("HF_HUB_OFFLINE"), Not(HasSubstr("missing"))));
  EXPECT_THAT(error(offline("org/name/m-Q4_0.gguf")),
              HasSubstr("m-Q4_0.gguf is missing; its GGUF files there are m-Q8_0.gguf"));
  EXPECT_TRUE(fetch(offline("org/name/m-Q8_0.gguf")));
}

// Counts the lines of the log.
class Lines {
 public:
  Lines() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("lines", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  ~Lines() { spdlog::set_default_logger(before_); }
  int with(const std::string& part) const {
    int n = 0;
    std::istringstream lines(text_.str());
    for (std::string line; std::getline(lines, line);) n += line.find(part) != line.npos;
    return n;
  }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

TEST_F(PartialCache, AHubThatCannotBeReachedIsTriedTwiceAndABusyOneOften) {
  HubRequest r = request();
  r.config.endpoint = "http://127.0.0.1:1";
  {
    const Lines lines;
    EXPECT_THAT(error(r), HasSubstr("cannot reach 127.0.0.1:1"));
    EXPECT_EQ(lines.with("cannot reach 127.0.0.1:1"), 1);
    EXPECT_EQ(lines.with("; trying again (1 of 1)"), 1);
  }
  const Lines lines;
  hub_.fail_info = 3;
  EXPECT_TRUE(get());
  EXPECT_EQ(lines.with("answers with HTTP status 503; trying again"), 3);
  EXPECT_EQ(lines.with("(3 of 5)"), 1);
}

}  // namespace
}  // namespace tenon::hub
