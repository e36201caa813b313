#include "grammar/grammar.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "grammar/lark.h"
#include "tenon_rust.hpp"

namespace tenon::grammar {
namespace {

constexpr std::size_t kMaxWaiting = 256;

template <class T, void (*free)(T*)>
struct Freed {
  void operator()(T* handle) const { free(handle); }
};
using VocabularyHandle = std::unique_ptr<TenonVocabulary, Freed<TenonVocabulary, tenon_vocabulary_free>>;
using GrammarHandle = std::unique_ptr<TenonGrammar, Freed<TenonGrammar, tenon_grammar_free>>;
using MatcherHandle = std::unique_ptr<TenonMatcher, Freed<TenonMatcher, tenon_matcher_free>>;

class RustMatcher final : public Matcher {
 public:
  explicit RustMatcher(MatcherHandle handle) : handle_(std::move(handle)) {}

  std::span<const std::uint32_t> mask() override {
    const std::uint32_t* words = nullptr;
    std::size_t count = 0;
    rust::Bytes error;
    const auto status = tenon_matcher_mask(handle_.get(), &words, &count, error.out());
    if (!keep(status, error)) return {};
    return {words, count};
  }
  bool accept(std::int32_t token) override {
    rust::Bytes error;
    const auto status = tenon_matcher_accept(handle_.get(), token, &complete_, error.out());
    return keep(status, error);
  }
  bool complete() const override { return complete_; }
  const std::string& error() const override { return error_; }

 private:
  bool keep(TenonRustStatus status, const rust::Bytes& error) {
    if (status == TENON_RUST_OK) return true;
    error_ = error.str();
    return false;
  }

  const MatcherHandle handle_;
  bool complete_ = false;
  std::string error_;
};

class RustGrammar final : public Grammar {
 public:
  explicit RustGrammar(GrammarHandle handle) : handle_(std::move(handle)) {}

  Result<std::unique_ptr<Matcher>> matcher() const override {
    TenonMatcher* matcher = nullptr;
    rust::Bytes error;
    TENON_TRY(rust::check(tenon_matcher_create(handle_.get(), &matcher, error.out()), error, "cannot use the grammar"));
    return std::make_unique<RustMatcher>(MatcherHandle(matcher));
  }

 private:
  const GrammarHandle handle_;
};

Result<VocabularyHandle> make_vocabulary(const Vocabulary& vocabulary) {
  std::string bytes;
  std::vector<std::uint32_t> lengths;
  const auto special = std::make_unique<bool[]>(vocabulary.tokens.size());  // std::vector<bool> has no data()
  for (const auto& token : vocabulary.tokens) {
    special[lengths.size()] = token.special;
    bytes += token.bytes;
    lengths.push_back(static_cast<std::uint32_t>(token.bytes.size()));
  }
  const auto& eos = vocabulary.eos_token_ids;
  TenonVocabulary* handle = nullptr;
  rust::Bytes error;
  TENON_TRY(rust::check(tenon_vocabulary_create(bytes.data(), lengths.data(), special.get(), lengths.size(), eos.data(),
                                                eos.size(), &handle, error.out()),
                        error, "cannot use the vocabulary for grammars"));
  return VocabularyHandle(handle);
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kJsonSchema:
      return "json_schema";
    case Kind::kRegex:
      return "regex";
    case Kind::kLark:
      return "lark";
  }
  return "";
}

const char* title_of(Kind kind) {
  switch (kind) {
    case Kind::kJsonSchema:
      return "the JSON schema";
    case Kind::kRegex:
      return "the regular expression";
    case Kind::kLark:
      return "the grammar";
  }
  return "";
}

// What llguidance gets of a source.
Result<std::string> bounded(const Source& source) {
  if (source.kind == Kind::kJsonSchema) return bounded_schema(source.text);
  if (source.kind == Kind::kRegex) TENON_TRY(check_regex(source.text));
  return source.text;
}

class RustCompiler final : public Compiler {
 public:
  explicit RustCompiler(std::function<Result<Vocabulary>()> vocabulary) : make_(std::move(vocabulary)) {}
  ~RustCompiler() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Compiled compile(const Source& source) const override {
    if (source.text.size() > kMaxSource) {
      return invalid(std::string(title_of(source.kind)) + " has " + std::to_string(source.text.size()) +
                         " bytes, but at most " + std::to_string(kMaxSource) + " are allowed",
                     source.param);
    }
    auto text = bounded(source);
    if (!text) {
      return invalid(std::string(title_of(source.kind)) + " cannot be used: " + text.error().message, source.param);
    }
    TENON_ASSIGN(const TenonVocabulary* vocabulary, vocabulary_once());
    const std::string name = name_of(source.kind);
    TenonGrammar* grammar = nullptr;
    rust::Bytes error;
    auto made = rust::check(
        tenon_grammar_create(vocabulary, name.data(), name.size(), text->data(), text->size(), &grammar, error.out()),
        error, std::string(title_of(source.kind)) + " cannot be used");
    if (!made) {
      made.error().param = source.param;
      return std::unexpected(std::move(made).error());
    }
    return std::make_shared<RustGrammar>(GrammarHandle(grammar));
  }

  Status submit(Source source, std::function<void(Compiled)> done) override {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMaxWaiting) {
      return fail(ErrorCode::kResourceExhausted, "too many requests wait for their grammars to be compiled");
    }
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    waiting_.emplace_back(std::move(source), std::move(done));
    wake_.notify_one();
    return {};
  }

 private:
  Result<const TenonVocabulary*> vocabulary_once() const {
    const std::lock_guard lock(vocabulary_mutex_);
    if (!vocabulary_) {
      TENON_ASSIGN(const Vocabulary vocabulary, make_());
      TENON_ASSIGN(vocabulary_, make_vocabulary(vocabulary));
    }
    return vocabulary_.get();
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      auto [source, done] = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      done(compile(source));
      done = nullptr;
      lock.lock();
    }
  }

  const std::function<Result<Vocabulary>()> make_;
  mutable std::mutex vocabulary_mutex_;
  mutable VocabularyHandle vocabulary_;  ///< null: not yet needed

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<Source, std::function<void(Compiled)>>> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Compiler> Compiler::create(std::function<Result<Vocabulary>()> vocabulary) {
  return std::make_unique<RustCompiler>(std::move(vocabulary));
}

}  // namespace tenon::grammar
