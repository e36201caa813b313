#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <chrono>

namespace tenon::engine {
namespace {

using Tokens = std::vector<std::int32_t>;

Tokens propose(PromptLookup& lookup, const Tokens& tokens, int most = 8) {
  Tokens draft;
  lookup.propose(tokens, most, draft);
  return draft;
}

TEST(PromptLookup, GuessesWhatFollowedBefore) {
  PromptLookup lookup;
  Tokens tokens = {5, 1, 2, 3, 40, 41, 42, 9, 1, 2};
  lookup.begin(tokens, 100);
  EXPECT_EQ(propose(lookup, tokens), Tokens{});
  tokens.push_back(3);
  EXPECT_EQ(propose(lookup, tokens), (Tokens{40, 41}));
  lookup.judge(2, 2);  // all right: a longer one
  for (const int token : {40, 41, 42}) tokens.push_back(token);
  EXPECT_EQ(propose(lookup, tokens), (Tokens{9, 1, 2, 3}));
}

TEST(PromptLookup, WhatStoodLastCounts) {
  PromptLookup lookup;
  const Tokens tokens = {1, 2, 3, 7, 1, 2, 3, 8, 1, 2, 3};
  lookup.begin(tokens, 1);
  EXPECT_EQ(propose(lookup, tokens, 1), Tokens{8});
}

TEST(PromptLookup, RepetitionGoesOn) {
  PromptLookup lookup;
  Tokens tokens(4, 6);
  lookup.begin(tokens, 4);
  std::size_t longest = 0;
  for (int i = 0; i < 300; ++i) {  // far more than there was room for
    const Tokens draft = propose(lookup, tokens, 20);
    EXPECT_EQ(draft, Tokens(draft.size(), 6));
    longest = std::max(longest, draft.size());
    lookup.judge(static_cast<int>(draft.size()), static_cast<int>(draft.size()));
    tokens.push_back(6);
  }
  EXPECT_EQ(longest, 20u);
}

TEST(PromptLookup, PausesAfterMisses) {
  PromptLookup lookup;
  Tokens tokens;
  for (int i = 0; i < 2000; ++i) tokens.push_back(i % 5);
  lookup.begin(std::span(tokens).first(20), 2000);
  int guesses = 0;
  for (std::size_t n = 20; n < tokens.size(); ++n) {
    const Tokens draft = propose(lookup, Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n)));
    if (draft.empty()) continue;
    ++guesses;
    lookup.judge(static_cast<int>(draft.size()), 0);
  }
  EXPECT_GT(guesses, 20);
  EXPECT_LT(guesses, 50);
}

// A client that knows the hash can choose a prompt whose words all want the same few places.
TEST(PromptLookup, NoPromptTakesLong) {
  constexpr std::uint64_t kSlots = 1 << 19;  // what 200000 tokens get
  const auto place = [](const Tokens& tokens, std::int32_t next) {
    std::uint64_t hash = 0;
    for (const std::int32_t word : {tokens[tokens.size() - 2], tokens.back(), next}) {
      hash = (hash ^ static_cast<std::uint32_t>(word)) * 0x9E3779B97F4A7C15u;
    }
    return hash >> 32 & (kSlots - 1);
  };
  Tokens tokens = {1, 2, 3};
  std::uint64_t taken = 1;
  for (std::int32_t next = 0; tokens.size() < 200000; ++next) {
    if (place(tokens, next) >= taken) continue;
    tokens.push_back(next);
    ++taken;
  }
  PromptLookup lookup;
  const auto begin = std::chrono::steady_clock::now();
  lookup.begin(tokens, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_LE(propose(lookup, tokens).size(), 2u);
}

}  // namespace
}  // namespace tenon::engine
