#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>

#include "hub/hub_fixture.h"

namespace tenon::hub {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

TEST_F(Hub, DownloadsWhatAModelNeedsInHuggingFaceLayout) {
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->commit, hub_.commit());
  EXPECT_EQ(snapshot->directory, root() + "/snapshots/" + hub_.commit());
  EXPECT_THAT(snapshot->files, UnorderedElementsAre("config.json", "tokenizer.json", "model.safetensors"));
  EXPECT_FALSE(snapshot->from_cache);
  EXPECT_EQ(read(root() + "/refs/main"), hub_.commit());
  for (const std::string& name : snapshot->files) {
    const FakeFile& file = hub_.files[name];
    const std::string path = snapshot->directory + "/" + name;
    const std::string etag = file.lfs ? sha256(file.contents) : git_sha1(file.contents);
    EXPECT_EQ(fs::read_symlink(path), "../../blobs/" + etag);
    EXPECT_TRUE(read(path) == file.contents);
  }
  int blobs = 0;
  for ([[maybe_unused]] const auto& b : fs::directory_iterator(root() + "/blobs")) ++blobs;
  EXPECT_EQ(blobs, 3);  // nothing incomplete, nothing else
  EXPECT_EQ(downloads(), 1);
}

TEST_F(Hub, ASecondFetchAsksOnceAndDownloadsNothing) {
  ASSERT_TRUE(get());
  const auto before = hub_.hub_requests().size();
  const auto again = get();
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->from_cache);
  EXPECT_EQ(hub_.hub_requests().size(), before + 1);
  EXPECT_EQ(downloads(), 1);
}

TEST_F(Hub, TheTokenGoesToTheHubAndNotToItsCdn) {
  HubRequest r = request();
  r.config.token = "hf_secret";
  ASSERT_TRUE(fetch(r));
  for (const auto& q : hub_.hub_requests()) EXPECT_EQ(q.headers.at("authorization"), "Bearer hf_secret") << q.path;
  ASSERT_FALSE(hub_.cdn_requests().empty());
  for (const auto& q : hub_.cdn_requests()) EXPECT_FALSE(q.headers.contains("authorization")) << q.path;
}

TEST_F(Hub, ARefusalOfTheCdnIsNotTheTokens) {
  hub_.cdn_denies = true;
  const std::string message = error(request());  // of the file that was refused first
  EXPECT_THAT(message, HasSubstr(", where the hub keeps it, answered with HTTP status 403"));
  EXPECT_THAT(message, AllOf(Not(HasSubstr("HF_TOKEN")), Not(HasSubstr("Signature"))));
}

TEST_F(Hub, FollowsARenamedRepo) {
  hub_.renamed_from = "old/title";
  const auto snapshot = fetch(request("old/title"));
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_TRUE(read(snapshot->directory + "/model.safetensors") == weights_);
}

TEST_F(Hub, ResumesABrokenConnectionFromWhereItBroke) {
  hub_.files.erase("tokenizer.json");
  hub_.files.erase("config.json");
  hub_.break_downloads = 3;
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_TRUE(read(snapshot->directory + "/model.safetensors") == weights_);
  std::vector<std::string> ranges;
  for (const auto& q : hub_.cdn_requests()) {
    if (q.method == "GET") ranges.push_back(q.headers.contains("range") ? q.headers.at("range") : "");
  }
  EXPECT_THAT(ranges, ElementsAre("", "bytes=350000-", "bytes=525000-", "bytes=612500-"));
}

TEST_F(Hub, ContinuesWhatAnEarlierRunLeft) {
  fs::create_directories(root() + "/blobs");
  std::ofstream(blob(sha256(weights_)) + ".incomplete") << weights_.substr(0, 1000);
  ASSERT_TRUE(get());
  bool resumed = false;
  for (const auto& q : hub_.cdn_requests())
    resumed |= q.headers.contains("range") && q.headers.at("range") == "bytes=1000-";
  EXPECT_TRUE(resumed);
  EXPECT_TRUE(read(blob(sha256(weights_))) == weights_);
  EXPECT_FALSE(fs::exists(blob(sha256(weights_)) + ".incomplete"));
}

TEST_F(Hub, StartsAgainWhereTheServerIgnoresTheRange) {
  fs::create_directories(root() + "/blobs");
  std::ofstream(blob(sha256(weights_)) + ".incomplete") << weights_.substr(0, 1000);
  hub_.ignore_range = true;
  ASSERT_TRUE(get());
  EXPECT_TRUE(read(blob(sha256(weights_))) == weights_);
}

TEST_F(Hub, StartsAgainWhereTheServerSendsAnotherRange) {
  fs::create_directories(root() + "/blobs");
  std::ofstream(blob(sha256(weights_)) + ".incomplete") << weights_.substr(0, 1000);
  hub_.wrong_range = true;
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_TRUE(read(blob(sha256(weights_))) == weights_);
}

TEST_F(Hub, DownloadsAgainWhatAnEarlierRunLeftSpoiled) {
  fs::create_directories(root() + "/blobs");
  std::ofstream(blob(sha256(weights_)) + ".incomplete") << std::string(1000, '!');
  std::ofstream(blob(git_sha1(hub_.files["config.json"].contents)) + ".incomplete") << std::string(9999, '!');
  ASSERT_TRUE(get());
  EXPECT_TRUE(read(blob(sha256(weights_))) == weights_);
}

TEST_F(Hub, DiscardsWhatDoesNotMatchItsChecksum) {
  hub_.files["model.safetensors"].sent = bytes(weights_.size(), 99);
  const auto result = get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDataLoss);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("org/name: model.safetensors"), HasSubstr("SHA-256")));
  EXPECT_FALSE(fs::exists(blob(sha256(weights_))));
  EXPECT_FALSE(fs::exists(blob(sha256(weights_)) + ".incomplete"));
  EXPECT_FALSE(fs::exists(root() + "/refs/main"));  // half a snapshot is not offered
  hub_.files["model.safetensors"].sent.clear();
  hub_.files["config.json"].sent = std::string(hub_.files["config.json"].contents.size(), '!');
  fs::remove_all(root());
  EXPECT_THAT(error(request()), AllOf(HasSubstr("config.json"), HasSubstr("git SHA-1")));
}

TEST_F(Hub, RefusesAWrongSize) {
  for (const std::int64_t announced : {600'000, 800'000}) {
    hub_.files["model.safetensors"].size = announced;
    EXPECT_THAT(error(request()),
                AllOf(HasSubstr("announced " + std::to_string(announced)), HasSubstr("700000 would come")));
  }
  EXPECT_FALSE(fs::exists(blob(sha256(weights_))));
  hub_.chunked = true;  // no Content-Length
  hub_.files["model.safetensors"].size = 600'000;
  EXPECT_THAT(error(request()), HasSubstr("more than the 600000 bytes"));
  hub_.files["model.safetensors"].size = 800'000;
  EXPECT_THAT(error(request()), AllOf(HasSubstr("model.safetensors"), HasSubstr("broke off")));
}

TEST_F(Hub, GivesUpOnAServerThatKeepsBreakingOff) {
  hub_.break_downloads = 1'000'000;
  hub_.files = {{"model.safetensors", {.contents = "1", .lfs = true}}};  // half of it is nothing
  HubRequest r = request();
  r.config.retries = 3;
  const auto result = fetch(r);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, HasSubstr("broke off"));
  EXPECT_EQ(downloads(), 4);
}

TEST_F(Hub, ExplainsGatedMissingAndPrivate) {
  hub_.gated = true;
  HubRequest r = request();
  auto result = fetch(r);
  EXPECT_EQ(result.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(result.error().message,
              AllOf(HasSubstr("is gated: accept its terms at " + hub_.url() + "/org/name"), HasSubstr("set HF_TOKEN")));
  r.config.token = "hf_x";
  EXPECT_THAT(error(r), AllOf(HasSubstr("your HF_TOKEN has no access yet"), Not(HasSubstr("hf_x"))));
  hub_.gated = false;
  result = fetch(request("org/absent"));
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr("org/absent does not exist"));
  r = request();
  r.revision = "v9";
  EXPECT_EQ(fetch(r).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(error(r), HasSubstr("revision v9 of org/name does not exist"));
  hub_.denied = true;
  result = get();
  EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(result.error().message, HasSubstr("is private"));
}

TEST_F(Hub, RefusesNamesThatLeaveTheCache) {
  for (const char* evil :
       {"../../evil.safetensors", "/etc/evil.json", "a/../../b.json", "a\\\\b.json", "C:evil.json", "a//b"}) {
    hub_.extra_sibling = evil;
    EXPECT_THAT(error(request()), HasSubstr("unsafe name")) << evil;
  }
  EXPECT_FALSE(fs::exists(root()));
  for (const char* repo :
       {"", "/", "a/b/c", "../x", "org/..", "/etc/passwd", "org/name/../x.gguf", "o rg/x", "a--b/c", "./model"}) {
    EXPECT_FALSE(is_hub_id(repo)) << repo;
    EXPECT_EQ(fetch(request(repo)).error().code, ErrorCode::kInvalidArgument) << repo;
  }
  HubRequest r = request();
  r.revision = "../../../x";
  EXPECT_THAT(error(r), HasSubstr("is not a revision"));
  hub_.extra_sibling.clear();
  hub_.files["model.safetensors"].etag = "../../../evil";
  EXPECT_THAT(error(request()), HasSubstr("usable ETag"));
}

TEST_F(Hub, KeepsARevisionWithSlashes) {
  HubRequest r = request();
  r.revision = "refs/pr/1";
  ASSERT_TRUE(fetch(r)) << error(r);
  EXPECT_EQ(read(root() + "/refs/refs/pr/1"), hub_.commit());
  r.revision = hub_.commit();
  ASSERT_TRUE(fetch(r));
  EXPECT_FALSE(fs::exists(root() + "/refs/" + hub_.commit()));
}

TEST_F(Hub, OfflineUsesTheCacheOrSaysWhatIsMissing) {
  HubRequest r = request();
  r.config.offline = true;
  auto result = fetch(r);
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("is not in the cache"), HasSubstr("HF_HUB_OFFLINE")));
  EXPECT_TRUE(hub_.hub_requests().empty());
  ASSERT_TRUE(get());
  const auto asked = hub_.hub_requests().size();
  result = fetch(r);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->from_cache);
  EXPECT_EQ(hub_.hub_requests().size(), asked);
}

TEST_F(Hub, UsesTheCacheWhenTheHubDoesNotAnswer) {
  ASSERT_TRUE(get());
  HubRequest r = request();
  r.config.endpoint = "http://127.0.0.1:1";
  const auto result = fetch(r);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->from_cache);
  r.repo = "org/other";
  r.config.retries = 1;
  EXPECT_EQ(fetch(r).error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(error(r),
              AllOf(HasSubstr("cannot reach 127.0.0.1:1"), HasSubstr("org/other (main) is not in the cache")));
  hub_.fail_info = 1;
  const auto busy = get();
  ASSERT_TRUE(busy);
  EXPECT_TRUE(busy->from_cache);
}

TEST_F(Hub, TriesABusyHubAgain) {
  hub_.fail_info = 3;
  const auto result = get();
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_FALSE(result->from_cache);
}

TEST_F(Hub, UsesACacheMadeByHuggingfaceHub) {
  // As snapshot_download leaves it: a newer commit under main, an older one beside it, sharing a blob.
  const std::string old_commit(40, 'b'), commit(40, 'c');
  const auto put = [&](const std::string& of, const std::string& name, const std::string& etag,
                       const std::string& data) {
    fs::create_directories(root() + "/blobs");
    fs::create_directories(root() + "/snapshots/" + of);
    std::ofstream(blob(etag)) << data;
    fs::create_symlink("../../blobs/" + etag, root() + "/snapshots/" + of + "/" + name);
  };
  put(old_commit, "config.json", std::string(40, '1'), "{\"old\": 1}");
  put(commit, "config.json", std::string(40, '2'), "{}");
  put(commit, "tokenizer.json", std::string(40, '6'), "{}");
  put(commit, "model.safetensors.index.json", std::string(40, '3'),
      R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  put(commit, "model-00001-of-00002.safetensors", std::string(64, '4'), "one");
  fs::create_directories(root() + "/refs");
  std::ofstream(root() + "/refs/main") << commit;
  HubRequest r = request();
  r.config.offline = true;
  EXPECT_THAT(error(r), HasSubstr("model-00002-of-00002.safetensors is missing"));
  put(commit, "model-00002-of-00002.safetensors", std::string(64, '5'), "two");
  const auto result = fetch(r);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->commit, commit);
  EXPECT_EQ(read(result->directory + "/config.json"), "{}");
  r.revision = old_commit;
  EXPECT_THAT(error(r), HasSubstr("tokenizer.json, model.safetensors are missing"));
}

TEST_F(Hub, FetchesTheShardsThatTheIndexNames) {
  hub_.files.erase("model.safetensors");
  hub_.files["model.safetensors.index.json"] = {
      .contents = R"({"weight_map":{"b":"model-00002-of-00002.safetensors","a":"model-00001-of-00002.safetensors"}})"};
  hub_.files["model-00001-of-00002.safetensors"] = {.contents = "one", .lfs = true};
  hub_.files["model-00002-of-00002.safetensors"] = {.contents = "two", .lfs = true};
  hub_.files["consolidated.safetensors"] = {.contents = "a second copy", .lfs = true};
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_THAT(snapshot->files,
              UnorderedElementsAre("config.json", "tokenizer.json", "model.safetensors.index.json",
                                   "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  EXPECT_EQ(read(snapshot->directory + "/model-00002-of-00002.safetensors"), "two");
  hub_.files.erase("model-00002-of-00002.safetensors");
  fs::remove_all(root());
  EXPECT_THAT(error(request()), HasSubstr("model-00002-of-00002.safetensors does not exist"));
}

TEST_F(Hub, TakesAGgufFileByName) {
  hub_.files.erase("model.safetensors");
  hub_.files["m-Q4_0.gguf"] = {.contents = "GGUF4", .lfs = true};
  hub_.files["m-Q8_0.gguf"] = {.contents = "GGUF8", .lfs = true};
  hub_.files["big/m-00001-of-00002.gguf"] = {.contents = "first", .lfs = true};
  hub_.files["big/m-00002-of-00002.gguf"] = {.contents = "second", .lfs = true};
  EXPECT_THAT(error(request()),
              AllOf(HasSubstr("m-Q4_0.gguf"), HasSubstr("m-Q8_0.gguf"), HasSubstr("name one of them")));
  const auto one = fetch(request("org/name/m-Q8_0.gguf"));
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(read(one->gguf_path), "GGUF8");
  EXPECT_THAT(one->files, ElementsAre("m-Q8_0.gguf"));
  HubRequest r = request();
  r.gguf_file = "big/m-00001-of-00002.gguf";
  const auto split = fetch(r);
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_EQ(read(split->gguf_path), "first");
  EXPECT_EQ(read(split->directory + "/big/m-00002-of-00002.gguf"), "second");
  EXPECT_EQ(fs::read_symlink(split->gguf_path), "../../../blobs/" + sha256("first"));
  EXPECT_THAT(error(request("org/name/m-Q9_0.gguf")), HasSubstr("did you mean m-Q"));
  r = request("org/name/m-Q8_0.gguf");
  r.config.offline = true;
  EXPECT_TRUE(fetch(r));
}

TEST_F(Hub, SaysWhatARepoHasInsteadOfSafetensors) {
  hub_.files.erase("model.safetensors");
  EXPECT_THAT(error(request()), HasSubstr("only PyTorch weights"));
  hub_.files.erase("pytorch_model.bin");
  EXPECT_THAT(error(request()), HasSubstr("no model weights"));
  hub_.files["adapter_model.safetensors"] = {.contents = "x", .lfs = true};
  EXPECT_THAT(error(request()), AllOf(HasSubstr("adapter_model.safetensors"), HasSubstr("neither model.safetensors")));
}

TEST_F(Hub, RefusesBeforeItBeginsWhatTheDiskCannotHold) {
  hub_.files["model.safetensors"].size = std::int64_t{1} << 58;
  const auto result = get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(result.error().message,
              AllOf(HasSubstr("org/name needs 288 PB"), HasSubstr(cache_), HasSubstr("are free")));
  EXPECT_EQ(downloads(), 0);
}

TEST_F(Hub, AFullDiskIsOneSentenceAndKeepsThePart) {
  // A limit on file size stands in for a full disk: the write fails midway either way.
  struct rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 300'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto result = get();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(result.error().message, AllOf(HasSubstr("free some space"), HasSubstr("HF_HOME")));
  EXPECT_EQ(fs::file_size(blob(sha256(weights_)) + ".incomplete"), 300'000u);
  EXPECT_TRUE(get());
  EXPECT_TRUE(read(blob(sha256(weights_))) == weights_);
}

TEST_F(Hub, ReportsProgressUpToTheEnd) {
  std::int64_t last = 0, total = 0;
  bool ordered = true;
  HubRequest r = request();
  r.progress = [&](const Progress& p) {
    ordered = ordered && p.all_done >= last && p.done <= p.total;
    last = p.all_done, total = p.all_total;
  };
  ASSERT_TRUE(fetch(r));
  EXPECT_TRUE(ordered);
  EXPECT_EQ(last, total);
  EXPECT_EQ(total, static_cast<std::int64_t>(weights_.size() + 50'000 + hub_.files["config.json"].contents.size()));
}

TEST_F(Hub, TwoFetchesAtOnceDownloadEachFileOnce) {
  hub_.files["model.safetensors"].contents = weights_ = bytes(20'000'000, 5);
  auto first = std::async(std::launch::async, [&] { return get(); });
  auto second = std::async(std::launch::async, [&] { return get(); });
  const auto a = first.get(), b = second.get();
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b) << b.error().message;
  EXPECT_EQ(downloads(), 1);
  EXPECT_TRUE(read(a->directory + "/model.safetensors") == weights_);
}

TEST_F(Hub, TwoProcessesAtOnceDoNotClash) {
  hub_.files["model.safetensors"].contents = weights_ = bytes(20'000'000, 6);
  const std::string endpoint = "HF_ENDPOINT=" + hub_.url(), cache = "HF_HUB_CACHE=" + cache_;
  hub_.sync();
  std::vector<pid_t> children;
  for (int i = 0; i < 2; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::execl("/proc/self/exe", "tenon_hub_test", "--gtest_filter=HubChild.DISABLED_Fetches",
              "--gtest_also_run_disabled_tests", endpoint.c_str(), cache.c_str(), nullptr);
      ::_exit(127);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(downloads(), 1);
  EXPECT_TRUE(read(root() + "/snapshots/" + hub_.commit() + "/model.safetensors") == weights_);
}

// The other half of TwoProcessesAtOnceDoNotClash, in a process of its own.
TEST(HubChild, DISABLED_Fetches) {
  for (const std::string& argument : testing::internal::GetArgvs()) {
    if (argument.starts_with("HF_")) {
      const auto equals = argument.find('=');
      ::setenv(argument.substr(0, equals).c_str(), argument.substr(equals + 1).c_str(), 1);
    }
  }
  const auto result = fetch({.repo = "org/name"});
  ASSERT_TRUE(result) << result.error().message;
}

}  // namespace
}  // namespace tenon::hub
