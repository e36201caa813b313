// What a complete cache is good for: it needs neither a willing hub nor to be written to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "hub/hub_fixture.h"

namespace tenon::hub {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class CompleteCache : public Hub {
 protected:
  CompleteCache() { EXPECT_TRUE(get()); }
  // Files where directories should be made stand in for a read-only file system, which does not stop root.
  void make_unwritable() {
    fs::remove_all(cache_ + "/.locks");
    std::ofstream(cache_ + "/.locks") << "";
  }
  std::string snapshot() const { return root() + "/snapshots/" + hub_.commit(); }
};

TEST_F(CompleteCache, IsNotWrittenTo) {
  make_unwritable();
  auto result = get();
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->directory, snapshot());
  EXPECT_FALSE(result->from_cache);
  EXPECT_FALSE(fs::is_directory(cache_ + "/.locks"));
  // Not even to note which commit main is.
  fs::remove_all(root() + "/refs");
  std::ofstream(root() + "/refs") << "";
  result = get();
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->directory, snapshot());
}

TEST_F(CompleteCache, SaysWhatAnUnwritableOneLacks) {
  make_unwritable();
  fs::remove(snapshot() + "/config.json");
  EXPECT_THAT(error(request()), AllOf(HasSubstr("org/name lacks config.json in the cache"), HasSubstr("/.locks")));
}

TEST_F(CompleteCache, OfAnOlderCommitServesWhereItCannotBeRenewed) {
  FakeHub newer(std::string(40, 'b'));
  newer.files = hub_.files;
  newer.sync();
  make_unwritable();
  HubRequest r = request();
  r.config.endpoint = newer.url();
  const auto result = fetch(r);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->from_cache);
  EXPECT_EQ(result->directory, snapshot());
}

TEST_F(CompleteCache, ServesWhateverTheHubAnswers) {
  const auto expect_cached = [&](const char* what) {
    const auto result = get();
    ASSERT_TRUE(result) << what << ": " << result.error().message;
    EXPECT_TRUE(result->from_cache) << what;
    EXPECT_EQ(result->directory, snapshot()) << what;
  };
  hub_.denied = true;
  expect_cached("a token that expired: 401");
  hub_.denied = false;
  hub_.repo = "org/elsewhere";
  expect_cached("a repo that is gone: 404");
}

TEST_F(CompleteCache, ServesWhereAPortalAnswersInTheHubsPlace) {
  LoopbackServer portal([](const FakeRequest&) {
    return FakeResponse{200, {{"Content-Type", "text/html"}}, "<html>Welcome, log in</html>", SIZE_MAX, false};
  });
  HubRequest r = request();
  r.config.endpoint = portal.url();
  const auto result = fetch(r);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->from_cache);
  r.repo = "org/other";
  EXPECT_EQ(fetch(r).error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(error(r), AllOf(HasSubstr("is no JSON; check HF_ENDPOINT"), HasSubstr("wants a login"),
                              HasSubstr("org/other (main) is not in the cache")));
}

}  // namespace
}  // namespace tenon::hub
