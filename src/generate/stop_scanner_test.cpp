#include "generate/stop_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tenon::generate {
namespace {

TEST(StopScanner, PassesTextWithoutStops) {
  StopScanner scanner({});
  EXPECT_EQ(scanner.push("abc").text, "abc");
  EXPECT_EQ(scanner.flush(), "");
}

TEST(StopScanner, HoldsBackWhatCouldBeginAStopString) {
  StopScanner scanner({"END"});
  EXPECT_EQ(scanner.push("the E").text, "the ");
  EXPECT_EQ(scanner.push("N").text, "");
  EXPECT_EQ(scanner.push("NE").text, "ENN");
  EXPECT_EQ(scanner.flush(), "E");
}

TEST(StopScanner, StopsBeforeTheStopStringAcrossPieces) {
  StopScanner scanner({"\n\n", "END"});
  EXPECT_EQ(scanner.push("one\n").text, "one");
  const Piece piece = scanner.push("two\n\nthree");
  EXPECT_EQ(piece.text, "\ntwo");
  EXPECT_TRUE(piece.stopped);
}

TEST(StopScanner, TheFirstCompleteOneCountsThenTheLongest) {
  EXPECT_EQ(StopScanner({"bcd", "b"}).push("abcd").text, "a");
  EXPECT_EQ(StopScanner({"abcd", "c"}).push("xabcd").text, "xab");
  EXPECT_EQ(StopScanner({"c", "abc"}).push("xabc").text, "x");
}

TEST(StopScanner, MayIncludeTheStopString) {
  StopScanner scanner({"END", "\n"}, true);
  EXPECT_EQ(scanner.push("the E").text, "the ");
  const Piece piece = scanner.push("ND of");
  EXPECT_EQ(piece.text, "END");
  EXPECT_TRUE(piece.stopped);
}

TEST(StopScanner, OverlappingBeginnings) {
  StopScanner scanner({"aab"});
  EXPECT_EQ(scanner.push("aaa").text, "a");
  const Piece piece = scanner.push("b");
  EXPECT_EQ(piece.text, "");
  EXPECT_TRUE(piece.stopped);
}

// Byte by byte, with no cleverness.
std::pair<std::string, bool> reference(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const auto& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

TEST(StopScanner, DoesNotDependOnTheCuts) {
  std::mt19937 random(1);
  const auto word = [&](std::size_t longest) {
    std::string s(1 + random() % longest, ' ');
    for (char& c : s) c = static_cast<char>('a' + random() % 2);
    return s;
  };
  int stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops;
    for (auto n = 1 + random() % 3; n > 0; --n) stops.push_back(word(6));
    const std::string text = word(20);
    StopScanner scanner(stops);
    std::string shown;
    bool found = false;
    for (std::size_t at = 0; at < text.size() && !found;) {
      const std::size_t n = 1 + random() % 4;
      const Piece piece = scanner.push(std::string_view(text).substr(at, n));
      shown += piece.text;
      found = piece.stopped;
      at += n;
    }
    if (!found) shown += scanner.flush();
    ASSERT_EQ(std::pair(shown, found), reference(stops, text)) << text;
    stopped += found;
  }
  EXPECT_GT(stopped, 1000);
  EXPECT_LT(stopped, 4900);
}

}  // namespace
}  // namespace tenon::generate
