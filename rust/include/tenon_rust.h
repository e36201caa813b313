/* The C ABI of libtenon_rust.a: Hugging Face tokenizers and minijinja.
 *
 * Ownership: a TenonBytes or TenonIds that a function fills belongs to the caller, who gives it back exactly once with
 * tenon_bytes_free or tenon_ids_free; a handle is given back with its own _free. Pointers passed in are borrowed for
 * the call only. A function that fails fills `error` (UTF-8, no terminating zero) and leaves its other outputs empty,
 * and every function sets all of its outputs, so that freeing them after any status is right ({NULL, 0} is allowed).
 *
 * Threads: handles are immutable after creation; every function may be called from many threads at once with the same
 * handle, except _free. No panic crosses the ABI: it becomes TENON_RUST_PANIC. */
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
  TENON_RUST_INVALID = 1, /* the input is wrong: not UTF-8, not a tokenizer, a template that cannot be rendered */
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

#ifdef __cplusplus
}
#endif
#endif
