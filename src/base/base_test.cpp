#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "base/subprocess.h"
#include "base/thread_pool.h"

namespace tenon {
namespace {

Result<int> half(int x) {
  if (x % 2) return invalid("odd", "x");
  return x / 2;
}
Result<int> quarter(int x) {
  TENON_ASSIGN(const int h, half(x));
  TENON_TRY(half(h));
  return h / 2;
}

TEST(Result, PassesValuesAndErrors) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().param, "x");
  EXPECT_EQ(wrap(half(3).error(), "ctx").error().message, "ctx: odd");
}

TEST(Json, ReportsThePlaceOfAnError) {
  const auto r = parse_json("{\"a\": 1,\n \"b\": }", "body");
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("line 2"), std::string::npos) << r.error().message;
  const std::string many(100000, '\n');
  for (const std::string& text : {many + "[1,", "[\"" + many, many + "{'" + many + "'"}) {
    const auto wrong = parse_json(text, "body");
    ASSERT_FALSE(wrong);
    EXPECT_LT(wrong.error().message.size(), 300u);
  }
}

TEST(Json, RefusesDepthBombsAndBadUtf8) {
  EXPECT_FALSE(parse_json(std::string(100000, '['), "bomb"));
  EXPECT_FALSE(parse_json("\"\xff\"", "utf8"));
  EXPECT_TRUE(parse_json("[\"[[[[{{{{\"]", "brackets inside a string", {.max_depth = 2}));
  EXPECT_FALSE(parse_json("[1,2]", "long", {.max_bytes = 3}));
  EXPECT_FALSE(parse_json(std::string_view("{}\0{", 4), "what follows a NUL"));
}

// Its own children may hold the pipe that it writes to.
TEST(Subprocess, AChildThatIsLeftBehindIsNotWaitedFor) {
  const auto begin = std::chrono::steady_clock::now();
  const auto end = run_command({"sh", "-c", "sleep 20 & echo said"}, std::chrono::seconds(15));
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_TRUE(end->ok());
  EXPECT_EQ(end->output, "said\n");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

// A machine that has no time for this process must not lose what the child has said.
TEST(Subprocess, WhatAChildWroteBeforeItsEndIsReadHoweverLate) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const std::string said(50000, 'x');
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::write(pipe[1], said.data(), said.size()) != static_cast<ssize_t>(said.size()));
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  std::string out;
  EXPECT_TRUE(read_from_child(pid, pipe[0], std::chrono::steady_clock::now() - std::chrono::seconds(1), out));
  EXPECT_EQ(out.size(), said.size());
  ::close(pipe[0]);
  ::close(pipe[1]);  // held until here: the pipe's end is not what it went by
  ::waitpid(pid, nullptr, 0);
}

TEST(Json, NearestName) {
  const std::vector<std::string> known = {"LlamaForCausalLM", "Qwen2ForCausalLM"};
  EXPECT_EQ(nearest_name("LamaForCausalLM", known), "LlamaForCausalLM");
  EXPECT_EQ(nearest_name("zzz", known), "");
  // A third of it, not half.
  EXPECT_EQ(nearest_name("num_attention_heads", std::vector<std::string>{"attention_bias"}), "");
  EXPECT_EQ(nearest_name("heads", std::vector<std::string>{"head"}), "head");
}

TEST(File, MapsAndRefuses) {
  EXPECT_EQ(MappedFile::open("/no/such/file").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(MappedFile::open("/tmp"));
  const std::string path = testing::TempDir() + "/tenon_file_test";
  std::ofstream(path) << "hello";
  EXPECT_EQ(*read_file(path), "hello");
  EXPECT_FALSE(read_file(path, 3));
  EXPECT_EQ((*MappedFile::open(path))->bytes().size(), 5u);
}

TEST(HugeBuffer, RefusesTheImpossibleBySize) {
  const auto r = HugeBuffer::allocate(std::size_t{1} << 60, "the moon");
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("the moon"), std::string::npos);
}

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, RunsEveryThreadAndBarriersSeparatePhases) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> phase(static_cast<std::size_t>(pool.size()));
    std::atomic<bool> torn{false};
    pool.run([&](int t) {
      for (int p = 1; p <= 3; ++p) {
        phase[static_cast<std::size_t>(t)] = p;
        pool.barrier();
        for (auto& other : phase) torn = torn || other != p;
        pool.barrier();
      }
    });
    ASSERT_FALSE(torn);
  }
}

TEST_P(ThreadPoolTest, ParallelForCoversTheRangeOnce) {
  ThreadPool pool(GetParam());
  std::vector<int> hits(1001);
  pool.parallel_for(1001, 7, [&](std::int64_t b, std::int64_t e) {
    for (auto i = b; i < e; ++i) ++hits[static_cast<std::size_t>(i)];
  });
  EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), 1001);
  EXPECT_EQ(*std::max_element(hits.begin(), hits.end()), 1);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 4));

}  // namespace
}  // namespace tenon
