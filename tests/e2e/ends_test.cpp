// How the program ends where the machine or its environment is at fault: one sentence, and a status that says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>

#include "server_process.h"
#include "weights/test_files.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A line of the shell in which $T is the program and $M the tiny model; what it prints on standard output is `out`.
Finished shell(const std::string& line) {
  const std::string command = "T='" TENON_PROGRAM "'; M='" + model_dir().string() + "'; " + line;
  Finished end;
  FILE* pipe = popen(command.c_str(), "r");
  for (char buffer[4096]; const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe);) end.out.append(buffer, n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) end.status = WEXITSTATUS(status);
  return end;
}

TEST(Ends, OutputThatCannotBeWritten) {
  for (const char* command : {"list", "inspect $M", "generate $M -p Once -n 2", "--help"}) {
    const Finished end = shell(std::string("$T ") + command + " 2>&1 >/dev/full");
    EXPECT_EQ(end.status, 1) << command;
    EXPECT_THAT(end.out, HasSubstr("tenon: what was to be printed could not be written")) << command;
  }
}

TEST(Ends, AReplyIsWholeBeforeItsNumbers) {
  const Finished end = shell("$T generate $M -p Once -n 2 2>&1");
  EXPECT_EQ(end.status, 0);
  EXPECT_THAT(end.out, HasSubstr("\nprompt: ")) << "the reply's line ends first";
}

TEST(Ends, AWrongInstructionSet) {
  const Finished end = shell("TENON_FORCE_ISA=bogus $T generate $M -p Once -n 2 2>&1");
  EXPECT_EQ(end.status, 2);
  EXPECT_THAT(end.out, HasSubstr("tenon: TENON_FORCE_ISA=bogus is not known: use portable, avx2 or avx512\n"));
}

TEST(Ends, AnUnknownLevelOfTheLogKeepsTheLog) {
  const Finished end = shell("TENON_LOG=verbose $T generate $M -p Once -n 2 2>&1");
  EXPECT_EQ(end.status, 0);
  EXPECT_THAT(end.out,
              AllOf(HasSubstr("TENON_LOG=verbose is not known: use trace, debug, info, warn"), HasSubstr("ready in")));
  EXPECT_THAT(shell("TENON_LOG=off $T generate $M -p Once -n 2 2>&1").out, Not(HasSubstr("ready in")));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they reserve terabytes of addresses
TEST(Ends, TooLittleMemory) {
  // From hardly enough for its libraries to nearly enough: wherever it ends, no signal ends it.
  for (const int mib : {100, 140, 180, 240, 320}) {
    const Finished end =
        shell("ulimit -v " + std::to_string(mib << 10) + "; $T generate $M -p Once -n 2 --threads 8 2>&1");
    EXPECT_TRUE(end.status == 0 || end.status == 1) << mib << " MiB: " << end.status << end.out;
    if (end.status != 0) {
      EXPECT_THAT(end.out, HasSubstr("tenon: ")) << mib;
    }
  }
}

// Of many small allocations the last one fails where hardly a byte is left, not even for the sentence.
TEST(Ends, TooLittleMemoryInTheMiddleOfAFile) {
  using weights::raw;
  constexpr std::uint64_t kTokens = 400000;
  std::string tokens = raw<std::uint32_t>(9) + raw<std::uint32_t>(8) + raw(kTokens);
  for (std::uint64_t i = 0; i < kTokens; ++i) tokens += weights::GgufBuilder::text(std::to_string(i + (1ull << 62)));
  const TempDir dir;
  const std::string file = (dir.path() / "many.gguf").string();
  std::ofstream(file, std::ios::binary) << weights::GgufBuilder().key("tokens", tokens).build();
  int at_once = 0;
  for (int mib = 60; mib < 150; mib += 3) {
    const Finished end =
        shell("ulimit -c 0; ulimit -v " + std::to_string(mib << 10) + "; $T inspect '" + file + "' 2>&1");
    EXPECT_EQ(end.status, 1) << mib << " MiB: " << end.out;
    EXPECT_THAT(end.out, HasSubstr("tenon: ")) << mib;
    at_once += end.out.starts_with("tenon: out of memory");
  }
  EXPECT_GT(at_once, 0) << "no limit was of interest";
}

TEST(Ends, TheCacheFitsUlimitsToo) {
  const Finished end = shell("ulimit -v 500000; $T generate $M -p Once -n 2 --max-batch-size 4096 2>&1");
  EXPECT_EQ(end.status, 0) << "so many pages of keys and values as can be had; " << end.out;
}
#endif

}  // namespace
}  // namespace tenon::e2e
