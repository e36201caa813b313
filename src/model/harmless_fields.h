// Fields of config.json that do not change what a forward pass computes from given token ids.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace tenon::model {

/// Bookkeeping, training, other frameworks, and the generation settings that old configs carry. A field goes in here
/// only if no value of it changes the logits.
inline constexpr std::array kHarmlessFields = std::to_array<std::string_view>({
    // what the file is and who wrote it
    "architectures",
    "model_type",
    "_name_or_path",
    "name_or_path",
    "transformers_version",
    "transformers.js_config",
    "auto_map",
    "_commit_hash",
    "dtype",
    "torch_dtype",
    "tokenizer_class",
    "is_llama_config",
    "finetuning_task",
    "task_specific_params",
    "id2label",
    "label2id",
    "problem_type",
    "unsloth_fixed",
    "unsloth_version",
    "_attn_implementation_autoset",
    "_attn_implementation",
    "attn_implementation",
    // training
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "resid_pdrop",
    "residual_dropout",
    "embd_pdrop",
    "embedding_dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "pretraining_tp",
    "gradient_checkpointing",
    "torchscript",
    "use_bfloat16",
    "output_router_logits",
    "router_aux_loss_coef",
    // how the reference caches and returns
    "use_cache",
    "cache_implementation",
    "return_dict",
    "output_hidden_states",
    "output_attentions",
    "chunk_size_feed_forward",
    "keys_to_ignore_at_inference",
    // how far an embedding model's vectors may be cut
    "is_matryoshka",
    "matryoshka_dimensions",
    // token ids
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "sep_token_id",
    "unk_token_id",
    "decoder_start_token_id",
    "image_token_id",
    "image_token_index",
    "boi_token_index",
    "eoi_token_index",
    // generation settings
    "max_length",
    "min_length",
    "max_new_tokens",
    "do_sample",
    "early_stopping",
    "num_beams",
    "num_beam_groups",
    "diversity_penalty",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "repetition_penalty",
    "length_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "num_return_sequences",
    "output_scores",
    "return_dict_in_generate",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_tokens",
    "begin_suppress_tokens",
    "prefix",
});

inline bool is_harmless_field(std::string_view name) {
  return std::ranges::find(kHarmlessFields, name) != kHarmlessFields.end();
}

}  // namespace tenon::model
