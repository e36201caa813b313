/* The C ABI of libtenon_rust.a: Hugging Face tokenizers, minijinja and llguidance.
 *
 * Ownership: a TenonBytes or TenonIds that a function fills belongs to the caller, who gives it back exactly once with
 * tenon_bytes_free or tenon_ids_free; a handle is given back with its own _free. Pointers passed in are borrowed for
 * the call only. A function that fails fills `error` (UTF-8, no terminating zero) and leaves its other outputs empty,
 * and every function sets all of its outputs, so that freeing them after any status is right ({NULL, 0} is allowed).
 *
 * Threads: handles are immutable after creation; every function may be called from many threads at once with the same
 * handle, except _free, and except those of a TenonMatcher, which one thread at a time may use. No panic crosses the
 * ABI: it becomes TENON_RUST_PANIC. */
#ifndef TENON_RUST_H
#define TENON_RUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum TenonRustStatus {
  TENON_RUST_OK = 0,
  TENON_RUST_INVALID = 1, /* the input is wrong: not UTF-8, not a tokenizer, no template, no grammar */
  TENON_RUST_RAISED = 2,  /* the template called raise_exception: the error is its message, word for word */
  TENON_RUST_PANIC = 3    /* a bug */
} TenonRustStatus;

typedef struct TenonBytes {
  const char* data;
  size_t size;
} TenonBytes;
void tenon_bytes_free(TenonBytes bytes);

typedef struct TenonIds {
  const int32_t* data;
  size_t size;
} TenonIds;
void tenon_ids_free(TenonIds ids);

typedef struct TenonTokenizer TenonTokenizer;
/* From the text of a tokenizer.json; truncation and padding are switched off. */
TenonRustStatus tenon_tokenizer_create(const char* json, size_t json_size, TenonTokenizer** out, TenonBytes* error);
void tenon_tokenizer_free(TenonTokenizer* tokenizer);
TenonRustStatus tenon_tokenizer_encode(const TenonTokenizer* tokenizer, const char* text, size_t text_size,
                                       bool add_special_tokens, TenonIds* out, TenonBytes* error);
/* Ids that no token has are passed over. */
TenonRustStatus tenon_tokenizer_decode(const TenonTokenizer* tokenizer, const int32_t* ids, size_t count,
                                       bool skip_special_tokens, TenonBytes* out, TenonBytes* error);
/* -1 for none. */
int32_t tenon_tokenizer_token_to_id(const TenonTokenizer* tokenizer, const char* token, size_t token_size);
/* False, and an empty `out`, for none. */
bool tenon_tokenizer_id_to_token(const TenonTokenizer* tokenizer, int32_t id, TenonBytes* out);
bool tenon_tokenizer_is_special(const TenonTokenizer* tokenizer, int32_t id);
/* Added tokens included. */
int32_t tenon_tokenizer_vocab_size(const TenonTokenizer* tokenizer);

typedef struct TenonTemplate TenonTemplate;
TenonRustStatus tenon_template_create(const char* source, size_t source_size, TenonTemplate** out, TenonBytes* error);
void tenon_template_free(TenonTemplate* tmpl);
/* `variables` is a JSON object; `now` (seconds since the epoch) is what strftime_now formats, in local time. */
TenonRustStatus tenon_template_render(const TenonTemplate* tmpl, const char* variables, size_t variables_size,
                                      int64_t now, TenonBytes* out, TenonBytes* error);

/* What tokens spell, for grammars. */
typedef struct TenonVocabulary TenonVocabulary;
/* Of `count` tokens: their bytes one after the other, the length of each (0: no token of a text) and whether it is
 * special, so that no text reaches it but only a grammar that names it; and the ids that end a text. */
TenonRustStatus tenon_vocabulary_create(const char* bytes, const uint32_t* lengths, const bool* special, size_t count,
                                        const int32_t* eos, size_t eos_count, TenonVocabulary** out, TenonBytes* error);
void tenon_vocabulary_free(TenonVocabulary* vocabulary);

typedef struct TenonGrammar TenonGrammar;
/* `kind`: "json_schema", "regex" (Rust's syntax) or "lark". The work is bounded: a source that is too complex is
 * TENON_RUST_INVALID. Keeps what it needs of the vocabulary. */
TenonRustStatus tenon_grammar_create(const TenonVocabulary* vocabulary, const char* kind, size_t kind_size,
                                     const char* source, size_t source_size, TenonGrammar** out, TenonBytes* error);
void tenon_grammar_free(TenonGrammar* grammar);

/* One text that is being written under a grammar. Keeps what it needs of the grammar. After an error each further call
 * returns it again. */
typedef struct TenonMatcher TenonMatcher;
TenonRustStatus tenon_matcher_create(const TenonGrammar* grammar, TenonMatcher** out, TenonBytes* error);
void tenon_matcher_free(TenonMatcher* matcher);
/* The tokens that may come next, a bit for each, lowest first, in words that are valid until the matcher's next call.
 */
TenonRustStatus tenon_matcher_mask(TenonMatcher* matcher, const uint32_t** words, size_t* word_count,
                                   TenonBytes* error);
/* Goes on by a token of the mask; `complete`: nothing but an end of text may follow. */
TenonRustStatus tenon_matcher_accept(TenonMatcher* matcher, int32_t token, bool* complete, TenonBytes* error);

#ifdef __cplusplus
}
#endif
#endif
