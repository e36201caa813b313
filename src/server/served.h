// What a server serves: a model that generates text, or one that embeds it.
#pragma once

#include <memory>

#include "generate/embedder.h"
#include "generate/generator.h"

namespace tenon::server {

/// Exactly one of the two is set.
struct Served {
  std::shared_ptr<const generate::Generator> generator = nullptr;
  std::shared_ptr<const generate::Embedder> embedder = nullptr;

  const tokenizer::Tokenizer& tokenizer() const { return generator ? generator->tokenizer() : embedder->tokenizer(); }
  bool add_special_tokens() const {
    return generator ? generator->parts().add_special_tokens.value_or(true) : embedder->add_special_tokens();
  }
  engine::Stats stats() const { return generator ? generator->engine().stats() : embedder->encoder().stats(); }
};

}  // namespace tenon::server
