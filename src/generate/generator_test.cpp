#include "generate/generator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>

#include "engine/fake_executable.h"
#include "generate/test_support.h"
#include "tokenizer/test_data.h"

namespace tenon::generate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class GeneratorTest : public testing::Test {
 protected:
  Generator make(std::optional<bool> add_special_tokens = {}) {
    return Generator({.engine = engine_,
                      .tokenizer = std::make_shared<ByteTokenizer>(),
                      .chat_template = std::make_shared<UpperTemplate>(),
                      .eos_token_ids = {kEos},
                      .add_special_tokens = add_special_tokens});
  }
  void start(GenerateRequest request) {
    auto reply = make().start(std::move(request), [this](const Delta& delta) { take(delta); });
    ASSERT_TRUE(reply) << reply.error().message;
    reply_ = std::move(*reply);
  }
  void take(const Delta& delta) {
    text_ += delta.text;
    pieces_.push_back(delta.text);
    last_ = delta;
  }
  static Prompt text(std::string s) { return {std::move(s)}; }
  Error refused(GenerateRequest request) {
    const auto reply = make().start(std::move(request), [](const Delta&) {});
    return reply ? Error{ErrorCode::kInternal, "accepted"} : reply.error();
  }

  std::shared_ptr<FakeEngine> engine_ = std::make_shared<FakeEngine>();
  std::unique_ptr<Reply> reply_;
  std::string text_;
  std::vector<std::string> pieces_;
  Delta last_;
};

TEST_F(GeneratorTest, TokenizesTextIdsAndConversations) {
  start({.prompt = text("hi"), .max_tokens = 5});
  EXPECT_THAT(engine_->last.prompt, ElementsAre(kBos, 'h', 'i'));
  EXPECT_EQ(engine_->last.max_tokens, 5);
  EXPECT_THAT(engine_->last.stop_token_ids, ElementsAre(kEos));
  EXPECT_EQ(reply_->prompt_tokens(), 3);

  start({.prompt = {std::vector<std::int32_t>{7, 8}}, .stop_token_ids = {9}});
  EXPECT_THAT(engine_->last.prompt, ElementsAre(7, 8));
  EXPECT_GT(engine_->last.max_tokens, std::int64_t{1} << 40);  // the engine cuts it
  EXPECT_THAT(engine_->last.stop_token_ids, ElementsAre(9, kEos));

  start({.prompt = {chat::RenderInput{.messages = Json::parse(R"([{"role":"user","content":"yo"}])")}},
         .ignore_eos = true});
  EXPECT_THAT(engine_->last.prompt, ElementsAre('<', 'y', 'o', '>'));  // no second <s>
  EXPECT_TRUE(engine_->last.stop_token_ids.empty());
}

TEST_F(GeneratorTest, TheModelMayWantNoSpecialTokens) {
  ASSERT_TRUE(make(false).start({.prompt = text("a")}, [](const Delta&) {}));
  EXPECT_THAT(engine_->last.prompt, ElementsAre('a'));
}

TEST_F(GeneratorTest, StreamsWholeCharacters) {
  start({.prompt = text("x")});
  engine_->emit_text("a\xC3\xA9\xF0\x9F\x99\x82");  // aé🙂
  EXPECT_THAT(pieces_, ElementsAre("a", "", "\xC3\xA9", "", "", "", "\xF0\x9F\x99\x82"));
  engine_->emit(0xC3, FinishReason::kLength);  // half a character at the end
  EXPECT_EQ(last_.text, "\xEF\xBF\xBD");
  EXPECT_EQ(last_.finish, FinishReason::kLength);
  EXPECT_EQ(last_.completion_tokens, 8);
}

TEST_F(GeneratorTest, TheEndTokenHasNoTextUnlessItIsIgnored) {
  start({.prompt = text("x"), .skip_special_tokens = false});
  engine_->emit_text("ok");
  engine_->emit(kEos, FinishReason::kStop);
  EXPECT_EQ(text_, "ok");
  EXPECT_EQ(last_.finish, FinishReason::kStop);
  EXPECT_EQ(last_.completion_tokens, 3);

  text_.clear();
  start({.prompt = text("x"), .ignore_eos = true, .skip_special_tokens = false});
  engine_->emit_text("ok");
  engine_->emit(kEos);
  engine_->emit('!', FinishReason::kLength);
  EXPECT_EQ(text_, "ok</s>!");

  text_.clear();
  start({.prompt = text("x"), .ignore_eos = true});
  engine_->emit('a');
  engine_->emit(kEos);
  engine_->emit('b', FinishReason::kLength);
  EXPECT_EQ(text_, "ab");
}

TEST_F(GeneratorTest, AStopStringEndsTheReplyAndTheRequest) {
  start({.prompt = text("x"), .stop = {"\nUser:"}});
  engine_->emit_text("hello\nUser: never");
  EXPECT_EQ(text_, "hello");
  EXPECT_EQ(last_.finish, FinishReason::kStop);
  EXPECT_EQ(last_.completion_tokens, 11);
  EXPECT_THAT(engine_->finished, ElementsAre(1));
  EXPECT_EQ(pieces_.size(), 11u) << "a delta after the last";
  engine_->emit(-1, FinishReason::kStop);
  EXPECT_EQ(pieces_.size(), 11u);
  reply_.reset();
  EXPECT_TRUE(engine_->cancelled.empty());
}

TEST_F(GeneratorTest, WhatStoppedTheReplyMayBeIncluded) {
  start({.prompt = text("x"), .stop = {"END"}, .include_stop = true});
  engine_->emit_text("the END.");
  EXPECT_EQ(text_, "the END");
  text_.clear();
  start({.prompt = text("x"), .skip_special_tokens = false, .include_stop = true});
  engine_->emit_text("ok");
  engine_->emit(kEos, FinishReason::kStop);
  EXPECT_EQ(text_, "ok</s>");
}

TEST_F(GeneratorTest, NothingStopsAReplyBeforeMinTokens) {
  start({.prompt = text("x"), .stop = {"ab"}, .min_tokens = 5});
  EXPECT_EQ(engine_->last.min_tokens, 5);
  engine_->emit_text("abab");
  EXPECT_EQ(last_.finish, FinishReason::kNone);
  engine_->emit_text("ab");
  EXPECT_EQ(text_, "abab");
  EXPECT_EQ(last_.finish, FinishReason::kStop);
}

TEST_F(GeneratorTest, LogprobsNameTheTokensBytes) {
  start({.prompt = text("xy"), .prompt_logprobs = 1});
  EXPECT_EQ(engine_->last.prompt_logprobs, 1);
  engine_->emit_event({.prompt_logprobs = {{.logprob = -1, .rank = 7, .top = {{'a', -0.5f}}}}});
  ASSERT_EQ(last_.prompt_logprobs.size(), 2u);  // <s> has none
  EXPECT_FALSE(last_.prompt_logprobs[0].logprob.has_value());
  EXPECT_EQ(last_.prompt_logprobs[1].bytes, "x");
  EXPECT_EQ(last_.prompt_logprobs[1].logprob, -1);
  EXPECT_EQ(last_.prompt_logprobs[1].top[0].bytes, "a");
  EXPECT_EQ(last_.prompt_logprobs[0].token, kBos);
  EXPECT_EQ(last_.prompt_logprobs[1].token, 'x');
  EXPECT_EQ(last_.prompt_logprobs[1].rank, 7);
  EXPECT_EQ(last_.prompt_logprobs[1].top[0].token, 'a');
  engine_->emit_event({.token = 'b',
                       .logprobs = sampler::TokenLogprobs{.logprob = -2, .top = {{'c', -1.0f}, {'b', -2.0f}}},
                       .prompt_logprobs = {{.logprob = -3}}});
  ASSERT_EQ(last_.prompt_logprobs.size(), 1u);
  EXPECT_EQ(last_.prompt_logprobs[0].bytes, "y");
  ASSERT_TRUE(last_.logprobs.has_value());
  EXPECT_EQ(last_.logprobs->bytes, "b");
  EXPECT_EQ(last_.logprobs->top[1].logprob, -2);
  engine_->emit_event({.finish = FinishReason::kLength});
  EXPECT_TRUE(last_.prompt_logprobs.empty());
}

std::vector<std::int64_t> lengths(const std::vector<ScoredToken>& tokens) {
  std::vector<std::int64_t> out;
  for (const ScoredToken& token : tokens) out.push_back(token.length);
  return out;
}

// What is not in the text has no length in it; a piece of a character has none until the last one makes it whole.
TEST_F(GeneratorTest, TokensHaveTheLengthOfTheTextThatTheyMake) {
  start({.prompt = text("ab"), .prompt_logprobs = 0});
  engine_->emit_event({.prompt_logprobs = std::vector<sampler::TokenLogprobs>(2)});
  EXPECT_THAT(lengths(last_.prompt_logprobs), ElementsAre(0, 1, 1));  // the text was given without <s>
  const auto after = [this](std::int32_t token, FinishReason finish = FinishReason::kNone) {
    engine_->emit_event({.token = token, .finish = finish, .logprobs = sampler::TokenLogprobs{}});
    return last_.logprobs->length;
  };
  EXPECT_EQ(after('x'), 1);
  EXPECT_EQ(after(0xC3), 0);
  EXPECT_EQ(after(0xA9), 1);
  EXPECT_EQ(after(kBos), 0);  // special tokens are skipped
  EXPECT_EQ(after(kEos, FinishReason::kStop), 0);
}

TEST_F(GeneratorTest, PromptsAreEncodedOnce) {
  const auto encoded = *make().encode(text("hi"));
  EXPECT_THAT(encoded.ids, ElementsAre(kBos, 'h', 'i'));
  EXPECT_EQ(encoded.text, "hi");
  EXPECT_FALSE(encoded.chat);
  EXPECT_EQ(make().encode({std::vector<std::int32_t>{'a', kEos}})->text, "a</s>");
  EXPECT_TRUE(make().encode({chat::RenderInput{.messages = Json::parse(R"([{"content":"yo"}])")}})->chat);
  start({.prompt = {encoded}});
  EXPECT_EQ(engine_->last.prompt, encoded.ids);
}

TEST_F(GeneratorTest, TheRequestsOwnStopsAreTheReason) {
  start({.prompt = text("x"), .stop = {"ab", "b"}, .stop_token_ids = {'c', kEos}});
  engine_->emit_text("ab");
  EXPECT_EQ(last_.stop_reason, StopReason("ab"));
  const auto by_token = [this](std::int32_t token, bool ignore_eos = false) {
    start({.prompt = text("x"), .stop_token_ids = {'c', kEos}, .ignore_eos = ignore_eos});
    engine_->emit(token, FinishReason::kStop);
    return last_.stop_reason;
  };
  EXPECT_EQ(by_token('c'), StopReason('c'));
  EXPECT_EQ(by_token(kEos), StopReason());  // as the model would have ended it anyway
  EXPECT_EQ(by_token(kEos, true), StopReason(kEos));
  start({.prompt = text("x"), .stop_token_ids = {'c'}});
  engine_->emit('c', FinishReason::kLength);
  EXPECT_EQ(last_.stop_reason, StopReason());
}

// As vLLM: with a space before it too, where this makes as many tokens that begin otherwise.
TEST_F(GeneratorTest, BadWordsAreTokens) {
  EXPECT_THAT(*make().encode_bad_words({"ab", " \tc"}), ElementsAre(ElementsAre('a', 'b'), ElementsAre('c')));
  const auto blank = make().encode_bad_words({"a", " \n"});
  ASSERT_FALSE(blank);
  EXPECT_EQ(blank.error().param, "bad_words");
  EXPECT_THAT(blank.error().message, HasSubstr("white space"));
}

TEST_F(GeneratorTest, DeltasNameTheirTokens) {
  start({.prompt = text("x")});
  engine_->emit('a');
  EXPECT_EQ(last_.token, 'a');
  engine_->emit(-1, FinishReason::kStop);
  EXPECT_EQ(last_.token, -1);
}

TEST_F(GeneratorTest, OnlyTheEndOfALongPromptIsKept) {
  Prompt prompt = text("hello");
  prompt.keep_last = 2;
  const auto encoded = make().encode(prompt);
  EXPECT_THAT(encoded->ids, ElementsAre('l', 'o'));
  EXPECT_EQ(encoded->text, "lo");
  prompt.keep_last = 6;
  EXPECT_THAT(make().encode(prompt)->ids, ElementsAre(kBos, 'h', 'e', 'l', 'l', 'o'));
}

TEST_F(GeneratorTest, APromptMaySayWhetherItGetsSpecialTokens) {
  Prompt prompt = text("a");
  prompt.add_special_tokens = false;
  EXPECT_THAT(make().encode(prompt)->ids, ElementsAre('a'));
  prompt = {chat::RenderInput{.messages = Json::parse(R"([{"content":"yo"}])")}};
  prompt.add_special_tokens = true;
  EXPECT_THAT(make().encode(prompt)->ids, ElementsAre(kBos, '<', 'y', 'o', '>'));
}

TEST_F(GeneratorTest, AConversationSaysWhatItsReplyGoesOnWith) {
  chat::RenderInput input{.messages = Json::parse(R"([{"content":"yo"}])")};
  EXPECT_EQ(make().encode({input})->continued, "");
  input.continue_final_message = true;
  EXPECT_EQ(make().encode({input})->continued, "yo");
}

TEST_F(GeneratorTest, HeldBackTextComesAtTheEnd) {
  start({.prompt = text("x"), .stop = {"\nUser:"}});
  engine_->emit_text("hi\nUse");
  EXPECT_EQ(text_, "hi");
  engine_->emit(kEos, FinishReason::kStop);
  EXPECT_EQ(text_, "hi\nUse");
}

TEST_F(GeneratorTest, AStopStringInTheLastTokenCounts) {
  start({.prompt = text("x"), .stop = {"ab"}});
  engine_->emit('a');
  engine_->emit('b', FinishReason::kLength);
  EXPECT_EQ(text_, "");
  EXPECT_EQ(last_.finish, FinishReason::kStop);
}

TEST_F(GeneratorTest, DestructionCancels) {
  start({.prompt = text("x")});
  engine_->emit('a');
  reply_.reset();
  EXPECT_THAT(engine_->cancelled, ElementsAre(1));
  engine_->emit('b');
  engine_->emit(-1, FinishReason::kCancelled);
  EXPECT_EQ(text_, "a");  // nobody listens any more
}

TEST_F(GeneratorTest, CancelReportsItsEnd) {
  start({.prompt = text("x")});
  reply_->cancel();
  EXPECT_THAT(engine_->cancelled, ElementsAre(1));
  engine_->emit(-1, FinishReason::kCancelled);
  EXPECT_EQ(last_.finish, FinishReason::kCancelled);
}

TEST_F(GeneratorTest, ErrorsArePassedOn) {
  start({.prompt = text("x")});
  engine_->emit('a');
  engine_->emit(-1, FinishReason::kError, "it broke");
  EXPECT_EQ(last_.finish, FinishReason::kError);
  EXPECT_EQ(last_.error, "it broke");
}

TEST_F(GeneratorTest, BadParametersAreNamed) {
  EXPECT_EQ(refused({.prompt = text("x"), .max_tokens = -1}).param, "max_tokens");
  EXPECT_EQ(refused({.prompt = text("x"), .sampling = {.min_p = 3}}).param, "min_p");
  EXPECT_EQ(refused({.prompt = text("x"), .stop = {""}}).param, "stop");
  EXPECT_EQ(refused({.prompt = text("x"), .stop = {"\x80z"}}).param, "stop");
  EXPECT_EQ(refused({.prompt = text("x"), .stop = {std::string(257, 'a')}}).param, "stop");
  EXPECT_EQ(refused({.prompt = text("x"), .stop = std::vector<std::string>(17, "a")}).param, "stop");
  EXPECT_EQ(refused({.prompt = text("x"), .stop = std::vector<std::string>(16, std::string(256, 'a'))}).message,
            "accepted");
}

TEST_F(GeneratorTest, TheEnginesErrorsNameTheClientsParameter) {
  engine_->refusal = Error{ErrorCode::kInvalidArgument, "too long", "prompt"};
  const Prompt conversation{chat::RenderInput{.messages = Json::parse(R"([{"content":"yo"}])")}};
  EXPECT_EQ(refused({.prompt = text("x")}).param, "prompt");
  EXPECT_EQ(refused({.prompt = conversation}).param, "messages");
  engine_->refusal = Error{ErrorCode::kResourceExhausted, "the queue is full"};
  EXPECT_EQ(refused({.prompt = conversation}).param, "");
  engine_->refusal.reset();
  EXPECT_EQ(refused({.prompt = {chat::RenderInput{}}}).message, "the template says: no messages");
  EXPECT_EQ(refused({.prompt = {chat::RenderInput{}}}).param, "messages");
}

TEST_F(GeneratorTest, AModelWithoutATemplateRefusesConversations) {
  const Generator generator({.engine = engine_, .tokenizer = std::make_shared<ByteTokenizer>()});
  EXPECT_FALSE(generator.has_chat_template());
  const auto reply = generator.start({.prompt = {chat::RenderInput{}}}, [](const Delta&) {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(reply.error().param, "messages");
}

// Waits for the last delta of a reply that runs on a real engine.
class Waiter {
 public:
  DeltaSink sink() {
    return [this](const Delta& delta) {
      const std::lock_guard lock(mutex_);
      text_ += delta.text;
      last_ = delta;
      changed_.notify_all();
    };
  }
  std::string wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return last_.finish != FinishReason::kNone; }));
    return text_;
  }
  Delta last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  Delta last_;
};

TEST(GeneratorOnAnEngine, StopsAreCountedAsFinished) {
  Waiter waiter, all;
  const auto tokenizer = std::make_shared<ByteTokenizer>();
  std::shared_ptr<engine::Engine> engine = *engine::Engine::create(
      std::make_shared<engine::FakeExecutable>(runtime::Limits{}, kVocab), {.num_pages = 100}, 1);
  const Generator generator({.engine = engine, .tokenizer = tokenizer, .eos_token_ids = {}});
  const sampler::SamplingParams sampling{.temperature = 0.5f, .seed = 8};
  const auto expected =
      *tokenizer->decode(engine::fake_reply(*tokenizer->encode("go", true), sampling, 200, kVocab), true);
  const std::string stop = expected.substr(expected.size() / 2, 3);
  const auto whole = *generator.start({.prompt = {"go"}, .sampling = sampling, .max_tokens = 200}, all.sink());
  const auto stopped = *generator.start({.prompt = {"go"}, .sampling = sampling, .stop = {stop}}, waiter.sink());
  EXPECT_EQ(all.wait(), expected);
  EXPECT_EQ(waiter.wait(), expected.substr(0, expected.find(stop)));
  EXPECT_EQ(waiter.last().finish, FinishReason::kStop);
  engine->drain();
  while (engine->stats().running > 0) std::this_thread::yield();
  EXPECT_EQ(engine->stats().requests_finished, 2);
}

// SentencePiece puts a space before a text itself, and one more is a token of its own; byte-level BPE has two tokens.
TEST(GeneratorOnAnEngine, BadWordsOfRealTokenizers) {
  for (const auto& [name, sequences] : {std::pair("tinystories-260k", 1u), {"smollm2", 2u}}) {
    const auto path = tokenizer::test::source_dir() / "src/tokenizer/testdata" / name / "tokenizer.json.xz";
    const Generator generator({.engine = std::make_shared<FakeEngine>(),
                               .tokenizer = *tokenizer::Tokenizer::from_json(tokenizer::test::decompress(path)),
                               .eos_token_ids = {}});
    const auto ids = *generator.encode_bad_words({" girl"});
    EXPECT_EQ(ids.size(), sequences) << name;
    EXPECT_EQ(ids, *generator.encode_bad_words({"girl"})) << name;
  }
}

// SentencePiece drops the first space of a text, which is none where a message goes on.
TEST(GeneratorOnAnEngine, AReplyThatGoesOnKeepsItsFirstSpace) {
  const auto path = tokenizer::test::source_dir() / "src/tokenizer/testdata/tinystories-260k/tokenizer.json.xz";
  const auto engine = std::make_shared<FakeEngine>();
  const Generator generator({.engine = engine,
                             .tokenizer = *tokenizer::Tokenizer::from_json(tokenizer::test::decompress(path)),
                             .chat_template = *chat::ChatTemplate::create("{{ messages[-1].content }}", {}),
                             .eos_token_ids = {}});
  chat::RenderInput input{.messages = Json::parse(R"([{"content": "Once upon"}])"), .add_generation_prompt = false};
  for (const bool goes_on : {false, true}) {
    input.continue_final_message = goes_on;
    std::string text;
    const auto reply = generator.start({.prompt = {input}}, [&](const Delta& delta) { text += delta.text; });
    ASSERT_TRUE(reply) << reply.error().message;
    const auto ids = *generator.tokenizer().encode("a time", false);
    for (const std::int32_t id : ids) engine->emit(id);
    engine->emit(-1, FinishReason::kLength);
    EXPECT_EQ(text, goes_on ? " a time" : "a time");
  }
}

// A real tokenizer: what streams out of the engine is what decode() makes of all its ids.
TEST(GeneratorOnAnEngine, StreamsWhatARealTokenizerDecodes) {
  const auto path = tokenizer::test::source_dir() / "src/tokenizer/testdata/tinystories-260k/tokenizer.json.xz";
  const auto tokenizer = *tokenizer::Tokenizer::from_json(tokenizer::test::decompress(path));
  const std::int64_t vocab = tokenizer->vocab_size();
  Waiter waiter;
  std::shared_ptr<engine::Engine> engine = *engine::Engine::create(
      std::make_shared<engine::FakeExecutable>(runtime::Limits{}, vocab), {.num_pages = 100}, 2);
  const Generator generator({.engine = engine, .tokenizer = tokenizer, .eos_token_ids = {}});
  const sampler::SamplingParams sampling{.temperature = 1.0f, .seed = 1};
  const auto reply =
      *generator.start({.prompt = {"Once upon a time"}, .sampling = sampling, .max_tokens = 300}, waiter.sink());
  const auto ids = engine::fake_reply(*tokenizer->encode("Once upon a time", true), sampling, 300, vocab);
  EXPECT_EQ(waiter.wait(), *tokenizer->decode(ids, true));
  EXPECT_EQ(waiter.last().completion_tokens, 300);
}

}  // namespace
}  // namespace tenon::generate
