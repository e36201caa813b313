// JSON schema, regex or Lark grammar -> automaton -> which tokens may come next. By llguidance: nothing is precomputed
// for a grammar, a mask takes tens of microseconds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace tenon::grammar {

enum class Kind : std::uint8_t {
  kJsonSchema,  ///< JSON text of a schema (draft 2020-12); white space between the parts of a value is bounded
  kRegex,       ///< of the whole text, in the syntax of Rust's regex crate
  kLark,        ///< llguidance's variant of Lark; the first rule is "start"
};

struct Source {
  Kind kind = Kind::kJsonSchema;
  std::string text;
  std::string param = {};  ///< what the client calls it; names the parameter in errors
};

/// Bytes: more are refused.
inline constexpr std::size_t kMaxSource = std::size_t{256} << 10;
/// Bytes of a regular expression, also in a schema: the work grows faster than its size, this one takes less than a
/// second.
inline constexpr std::size_t kMaxRegex = std::size_t{8} << 10;
inline constexpr int kMaxSchemaDepth = 200;

/// What tokens spell.
struct Vocabulary {
  struct Token {
    std::string bytes;     ///< empty: no token of a text
    bool special = false;  ///< no text reaches it, only a grammar that names it
  };
  std::vector<Token> tokens;  ///< by id
  std::vector<std::int32_t> eos_token_ids = {};
};

/// One text that is being written under a grammar. For one thread at a time; throws nothing.
class Matcher {
 public:
  virtual ~Matcher() = default;
  /// A bit for each token, lowest first, set where the token may come next; tokens beyond the words may not. The end of
  /// text is among them where the text may end. Valid until the next call. Empty: it failed, as error() says.
  virtual std::span<const std::uint32_t> mask() = 0;
  /// Goes on by a token of the mask. False: it failed.
  virtual bool accept(std::int32_t token) = 0;
  /// Nothing but an end of text may follow.
  virtual bool complete() const = 0;
  virtual const std::string& error() const = 0;
};

/// Immutable; any thread may use it.
class Grammar {
 public:
  virtual ~Grammar() = default;
  /// At the beginning of a text.
  virtual Result<std::unique_ptr<Matcher>> matcher() const = 0;
};

using Compiled = Result<std::shared_ptr<const Grammar>>;

class Compiler {
 public:
  /// `vocabulary` is asked once, by the first compilation.
  static std::unique_ptr<Compiler> create(std::function<Result<Vocabulary>()> vocabulary);
  /// Waits for the compilation that runs; those that wait are dropped, their callbacks unheard.
  virtual ~Compiler() = default;

  /// Now, on this thread; any number of threads. Errors (kInvalidArgument with the source's `param`): too large, nested
  /// too deep, not in its language, unsatisfiable, or too complex; the work is bounded.
  virtual Compiled compile(const Source& source) const = 0;
  /// On the compiler's own thread, in order; `done` is called there. kResourceExhausted: too many are waiting.
  virtual Status submit(Source source, std::function<void(Compiled)> done) = 0;
};

}  // namespace tenon::grammar
