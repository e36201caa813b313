#!/usr/bin/env python3
"""Makes tests/golden/: tiny random checkpoints and what transformers computes on them in float32.

Each case is a directory with config.json and model.safetensors as save_pretrained writes them, and reference.safetensors:
  prompt.N.ids     int32 [tokens]
  prompt.N.logits  float32 [tokens, vocab]: logits after each token, the prompt run in one forward pass
  tap.NAME         float32 [tokens, hidden]: the output of module NAME for prompt 0
Weights are scaled so that logits and attention are far from uniform: a wrong rotation or norm then shows.

Usage: tools/make_golden.py [--out tests/golden] [CASE…]      (CASE: family or family/name)
"""
import argparse
import json
import pathlib
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

from make_reference import tap_modules

VOCAB, HIDDEN = 96, 32
PROMPT_LENGTHS = (80, 9, 1, 23)  # 80 crosses a KV page of 64 positions and every window below

COMMON = dict(vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
              tie_word_embeddings=False)


def rope(rope_type, theta=10000.0, **parameters):
    return {"rope_type": rope_type, "rope_theta": theta, **parameters}


LLAMA_YARN = rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0)
# Multi-head latent attention of every size different.
LATENT = dict(num_key_value_heads=4, kv_lora_rank=20, qk_nope_head_dim=10, qk_rope_head_dim=8, v_head_dim=6,
              moe_intermediate_size=24)
# The cases called "published" have what no GGUF file of the family says as the published models have it, so that they
# are the same model in that form: tools/make_gguf.py.
CASES = {
    "llama/mha": ("LlamaForCausalLM", dict(num_key_value_heads=4)),
    "llama/gqa_tied": ("LlamaForCausalLM", dict(tie_word_embeddings=True, rope_parameters=rope("default", 500000.0))),
    "llama/mqa_head_dim": ("LlamaForCausalLM", dict(num_key_value_heads=1, head_dim=12, rms_norm_eps=1e-5)),
    "llama/biases": ("LlamaForCausalLM", dict(attention_bias=True, mlp_bias=True)),
    "llama/rope_linear": ("LlamaForCausalLM", dict(rope_parameters=rope("linear", factor=4.0))),
    "llama/rope_dynamic": ("LlamaForCausalLM", dict(rope_parameters=rope("dynamic", factor=2.0))),
    "llama/rope_llama3": ("LlamaForCausalLM", dict(rope_parameters=rope(
        "llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))),
    "llama/rope_yarn": ("LlamaForCausalLM", dict(rope_parameters=LLAMA_YARN)),
    "qwen2/gqa": ("Qwen2ForCausalLM", dict()),
    "qwen2/tied_mha": ("Qwen2ForCausalLM", dict(tie_word_embeddings=True, num_key_value_heads=4)),
    "qwen2/window": ("Qwen2ForCausalLM", dict(use_sliding_window=True, sliding_window=8, max_window_layers=1,
                                              num_hidden_layers=3)),
    "mixtral/top2": ("MixtralForCausalLM", dict(
        num_local_experts=5, num_experts_per_tok=2, intermediate_size=32)),
    "mixtral/window": ("MixtralForCausalLM", dict(
        num_local_experts=4, num_experts_per_tok=1, sliding_window=8, intermediate_size=24)),
    "qwen3_moe/normalized": ("Qwen3MoeForCausalLM", dict(
        head_dim=16, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=32, norm_topk_prob=True)),
    "qwen3_moe/mixed_tied": ("Qwen3MoeForCausalLM", dict(
        num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24, norm_topk_prob=False, num_hidden_layers=3,
        decoder_sparse_step=1, mlp_only_layers=[1], attention_bias=True, tie_word_embeddings=True)),
    "qwen3/fp8": ("Qwen3ForCausalLM", dict(hidden_size=128, head_dim=32, intermediate_size=256,
                                           tie_word_embeddings=True)),
    "qwen3_moe/fp8": ("Qwen3MoeForCausalLM", dict(
        hidden_size=128, head_dim=32, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=128, norm_topk_prob=True,
        num_hidden_layers=1, tie_word_embeddings=True)),
    "granitemoe/tied": ("GraniteMoeForCausalLM", dict(
        num_local_experts=6, num_experts_per_tok=3, intermediate_size=32, embedding_multiplier=3.0, logits_scaling=6.0,
        residual_multiplier=0.5, attention_multiplier=0.3, tie_word_embeddings=True)),
    "granitemoe/biases": ("GraniteMoeForCausalLM", dict(num_local_experts=4, num_experts_per_tok=2, attention_bias=True)),
    "gpt_oss/float": ("GptOssForCausalLM", dict(
        head_dim=8, num_local_experts=4, num_experts_per_tok=2, intermediate_size=24, sliding_window=8, swiglu_limit=0.8,
        rope_parameters=rope("yarn", 150000.0, factor=32.0, original_max_position_embeddings=64, beta_fast=32.0,
                             beta_slow=1.0, truncate=False))),
    "gpt_oss/mxfp4": ("GptOssForCausalLM", dict(
        head_dim=8, num_local_experts=3, num_experts_per_tok=2, intermediate_size=64, sliding_window=16, swiglu_limit=1.5,
        rope_parameters=rope("default", 10000.0))),
    "gpt_oss/mxfp4_published": ("GptOssForCausalLM", dict(
        head_dim=8, num_local_experts=3, num_experts_per_tok=2, intermediate_size=32, sliding_window=16,
        rope_parameters=rope("yarn", 150000.0, factor=32.0, original_max_position_embeddings=64, beta_fast=32.0,
                             beta_slow=1.0, truncate=False))),
    "deepseek_v2/lite": ("DeepseekV2ForCausalLM", dict(
        **LATENT, q_lora_rank=None, n_routed_experts=5, num_experts_per_tok=2, n_shared_experts=2, first_k_dense_replace=1,
        rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0,
                             mscale=0.707, mscale_all_dim=0.707))),
    "deepseek_v2/groups_biases": ("DeepseekV2ForCausalLM", dict(
        **LATENT, q_lora_rank=24, n_routed_experts=6, num_experts_per_tok=3, n_shared_experts=1, first_k_dense_replace=1,
        topk_method="group_limited_greedy", n_group=3, topk_group=2, routed_scaling_factor=1.5, attention_bias=True,
        mlp_bias=True, tie_word_embeddings=True)),
    "deepseek_v3/fp8": ("DeepseekV3ForCausalLM", dict(
        hidden_size=128, num_key_value_heads=4, kv_lora_rank=128, q_lora_rank=128, qk_nope_head_dim=16, qk_rope_head_dim=8,
        v_head_dim=32, n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1, n_shared_experts=1,
        moe_intermediate_size=128, first_k_dense_replace=0, num_hidden_layers=1, tie_word_embeddings=True)),
    "deepseek_v3/groups_yarn": ("DeepseekV3ForCausalLM", dict(
        **LATENT, q_lora_rank=24, n_routed_experts=8, num_experts_per_tok=3, n_group=4, topk_group=2,
        first_k_dense_replace=1, rope_parameters=rope(
            "yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0, mscale=1.0,
            mscale_all_dim=0.5))),
    "deepseek_v3/published": ("DeepseekV3ForCausalLM", dict(
        **LATENT, q_lora_rank=24, n_routed_experts=6, num_experts_per_tok=3, n_group=3, topk_group=2,
        first_k_dense_replace=1, scoring_func="sigmoid", topk_method="noaux_tc", rope_parameters=rope(
            "yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=32.0, beta_slow=1.0, mscale=1.0,
            mscale_all_dim=1.0))),
    "deepseek_v3/halves_direct": ("DeepseekV3ForCausalLM", dict(
        **LATENT, q_lora_rank=None, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
        first_k_dense_replace=0, norm_topk_prob=False, rope_interleave=False, attention_bias=True, num_mtp_layers=0)),
    "llama4/chunks_top1": ("Llama4ForCausalLM", dict(
        head_dim=8, num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=1, intermediate_size=24,
        intermediate_size_mlp=48, attention_chunk_size=24, floor_scale=16, attn_scale=0.3, interleave_moe_layer_step=1,
        rope_parameters=rope("llama3", 500000.0, factor=16.0, low_freq_factor=1.0, high_freq_factor=1.0,
                             original_max_position_embeddings=64))),
    "llama4/published": ("Llama4ForCausalLM", dict(
        head_dim=8, num_hidden_layers=4, num_local_experts=3, num_experts_per_tok=1, intermediate_size=24,
        intermediate_size_mlp=40, interleave_moe_layer_step=2, attn_temperature_tuning=True, rope_parameters=rope(
            "llama3", 500000.0, factor=16.0, low_freq_factor=1.0, high_freq_factor=1.0,
            original_max_position_embeddings=64))),
    "llama4/interleaved_top2": ("Llama4ForCausalLM", dict(
        head_dim=12, num_hidden_layers=3, num_local_experts=5, num_experts_per_tok=2, intermediate_size=32,
        intermediate_size_mlp=40, attention_chunk_size=64, interleave_moe_layer_step=2, no_rope_layers=[1, 0, 1],
        use_qk_norm=False, attn_temperature_tuning=False, attention_bias=True, tie_word_embeddings=True,
        rope_parameters=rope("default", 10000.0))),
    "lfm2/tied": ("Lfm2ForCausalLM", dict(
        num_hidden_layers=3, intermediate_size=72, block_multiple_of=16, full_attn_idxs=[1], tie_word_embeddings=True,
        rope_parameters=rope("default", 1000000.0))),
    "lfm2/biases_taps": ("Lfm2ForCausalLM", dict(
        num_hidden_layers=3, layer_types=["conv", "full_attention", "conv"], conv_L_cache=5, conv_bias=True,
        num_key_value_heads=4, block_auto_adjust_ff_dim=False, rope_parameters=rope("default", 10000.0))),
    "gemma3/tied_window": ("Gemma3ForCausalLM", dict(
        head_dim=16, sliding_window=8, num_hidden_layers=3, layer_types=["sliding_attention", "sliding_attention",
        "full_attention"], query_pre_attn_scalar=16, tie_word_embeddings=True)),
    "gemma3/published": ("Gemma3ForCausalLM", dict(
        head_dim=16, intermediate_size=32, num_hidden_layers=6, num_attention_heads=2, num_key_value_heads=1,
        sliding_window=8, query_pre_attn_scalar=16, final_logit_softcapping=10.0, tie_word_embeddings=True,
        rope_parameters={"full_attention": rope("linear", 1000000.0, factor=8.0),
                         "sliding_attention": rope("default", 10000.0)})),
    "gemma3/mqa_linear": ("Gemma3ForCausalLM", dict(
        head_dim=8, sliding_window=16, num_key_value_heads=1, query_pre_attn_scalar=24, tie_word_embeddings=True,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={"full_attention": rope("linear", 1000000.0, factor=8.0),
                         "sliding_attention": rope("default", 10000.0)})),
    "gemma3/untied_softcap": ("Gemma3ForCausalLM", dict(
        head_dim=8, sliding_window=70, query_pre_attn_scalar=8, final_logit_softcapping=10.0,
        attn_logit_softcapping=15.0, layer_types=["sliding_attention", "full_attention"])),
    "olmo/mha_clip": ("OlmoForCausalLM", dict(num_key_value_heads=4, clip_qkv=1.5)),
    "olmo/gqa_tied_bias": ("OlmoForCausalLM", dict(tie_word_embeddings=True, attention_bias=True,
                                                   rope_parameters=rope("default", 500000.0))),
    "olmo2/mha": ("Olmo2ForCausalLM", dict(num_key_value_heads=4)),
    "olmo2/gqa_tied_bias": ("Olmo2ForCausalLM", dict(tie_word_embeddings=True, attention_bias=True, rms_norm_eps=1e-6,
                                                     rope_parameters=rope("default", 500000.0))),
    "olmo3/default_layers": ("Olmo3ForCausalLM", dict(num_hidden_layers=4, sliding_window=8)),
    "olmo3/yarn_tied": ("Olmo3ForCausalLM", dict(
        num_hidden_layers=2, sliding_window=16, tie_word_embeddings=True, attention_bias=True,
        layer_types=["full_attention", "sliding_attention"],
        rope_parameters={"full_attention": rope("yarn", 20000.0, factor=4.0, original_max_position_embeddings=32,
                                                attention_factor=1.2),
                         "sliding_attention": rope("default", 5000.0)})),
    "starcoder2/published": ("Starcoder2ForCausalLM", dict(
        sliding_window=4096, tie_word_embeddings=True, rope_parameters=rope("default", 999999.4420358813))),
    "starcoder2/window_linear": ("Starcoder2ForCausalLM", dict(
        sliding_window=8, norm_epsilon=1e-3, hidden_act="gelu", rope_parameters=rope("linear", factor=4.0))),
    "starcoder2/no_biases_mha": ("Starcoder2ForCausalLM", dict(use_bias=False, num_key_value_heads=4)),
    "gpt_neox/published": ("GPTNeoXForCausalLM", dict(num_attention_heads=2, intermediate_size=64)),
    "gpt_neox/sequential_tied": ("GPTNeoXForCausalLM", dict(
        use_parallel_residual=False, tie_word_embeddings=True, attention_bias=False, hidden_act="gelu_pytorch_tanh",
        layer_norm_eps=1e-3, rope_parameters=rope("linear", 50000.0, factor=4.0, partial_rotary_factor=1.0))),
    "cohere/published": ("CohereForCausalLM", dict(
        num_key_value_heads=4, tie_word_embeddings=True, logit_scale=0.5,
        rope_parameters=rope("default", 8000000.0))),
    "cohere/qk_norms": ("CohereForCausalLM", dict(use_qk_norm=True, tie_word_embeddings=True, logit_scale=0.8,
                                                  rope_parameters=rope("default", 75000000.0))),
    "cohere/biases_linear": ("CohereForCausalLM", dict(
        attention_bias=True, layer_norm_eps=1e-3, hidden_act="gelu", logit_scale=2.0,
        rope_parameters=rope("linear", factor=4.0))),
    "exaone4/window_nope": ("Exaone4ForCausalLM", dict(num_hidden_layers=4, sliding_window=8, sliding_window_pattern=4)),
    "exaone4/full_llama3_tied": ("Exaone4ForCausalLM", dict(
        sliding_window=None, layer_types=["full_attention"] * 2, tie_word_embeddings=True, head_dim=12,
        rope_parameters=rope("llama3", 1000000.0, factor=16.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=32))),
    "mistral/window": ("MistralForCausalLM", dict(sliding_window=8)),
    "mistral/full_head_dim": ("MistralForCausalLM", dict(sliding_window=None, head_dim=12, tie_word_embeddings=True,
                                                         rope_parameters=rope("default", 1000000.0))),
    "qwen3/gqa_tied": ("Qwen3ForCausalLM", dict(head_dim=12, tie_word_embeddings=True,
                                                rope_parameters=rope("default", 1000000.0))),
    "qwen3/window_bias": ("Qwen3ForCausalLM", dict(head_dim=8, attention_bias=True, use_sliding_window=True,
                                                   sliding_window=8, max_window_layers=1)),
    "qwen3/yarn": ("Qwen3ForCausalLM", dict(head_dim=16, num_key_value_heads=1, rope_parameters=LLAMA_YARN)),
    "gemma2/tied_window": ("Gemma2ForCausalLM", dict(
        head_dim=16, sliding_window=8, query_pre_attn_scalar=16, tie_word_embeddings=True, attn_logit_softcapping=5.0,
        final_logit_softcapping=10.0)),
    "gemma2/mqa_uncapped": ("Gemma2ForCausalLM", dict(
        head_dim=8, sliding_window=16, num_key_value_heads=1, query_pre_attn_scalar=24, attention_bias=True,
        attn_logit_softcapping=None, final_logit_softcapping=None, tie_word_embeddings=True,
        layer_types=["full_attention", "sliding_attention"])),
    "granite/tied": ("GraniteForCausalLM", dict(tie_word_embeddings=True, embedding_multiplier=3.0, logits_scaling=4.0,
                                                residual_multiplier=0.22, attention_multiplier=0.25)),
    "granite/biases": ("GraniteForCausalLM", dict(attention_bias=True, mlp_bias=True, num_key_value_heads=4,
                                                  residual_multiplier=0.7)),
    "smollm3/published": ("SmolLM3ForCausalLM", dict(num_hidden_layers=4, intermediate_size=32, tie_word_embeddings=True,
                                                     rope_parameters=rope("default", 50000.0))),
    "smollm3/interval_tied": ("SmolLM3ForCausalLM", dict(num_hidden_layers=3, no_rope_layer_interval=2,
                                                         tie_word_embeddings=True)),
    "phi3/window_mha": ("Phi3ForCausalLM", dict(num_key_value_heads=4, sliding_window=8)),
    "phi3/partial_tied": ("Phi3ForCausalLM", dict(
        hidden_size=48, tie_word_embeddings=True, rope_parameters=rope("default", 250000.0, partial_rotary_factor=0.5))),
    # Which factors count is a choice of the served context here, and of the batch at hand there: short ones for all
    # prompts by an original length beyond them, long ones by prompts beyond it.
    "phi3/longrope_short": ("Phi3ForCausalLM", dict(
        original_max_position_embeddings=256, rope_parameters=rope(
            "longrope", factor=4.0, short_factor=[1.0, 1.1, 1.3, 1.6], long_factor=[1.0, 2.0, 4.0, 8.0]))),
    "phi3/longrope_published": ("Phi3ForCausalLM", dict(
        original_max_position_embeddings=256, tie_word_embeddings=True, rope_parameters=rope(
            "longrope", short_factor=[1.0, 1.1, 1.3, 1.6], long_factor=[1.0, 2.0, 4.0, 8.0]))),
    "phi3/longrope_long": ("Phi3ForCausalLM", dict(
        original_max_position_embeddings=32, rope_parameters=rope(
            "longrope", short_factor=[1.0, 1.1, 1.3, 1.6], long_factor=[1.0, 2.0, 4.0, 8.0])), (80, 33, 47)),
    "smollm3/window_biases": ("SmolLM3ForCausalLM", dict(
        no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=8, attention_bias=True, mlp_bias=True,
        rope_parameters=rope("default", 50000.0))),
}


# Models of examples/, by the folder in which the checkpoint goes.
EXAMPLES = {
    "custom_architecture/glm4/tiny": ("Glm4ForCausalLM", dict(head_dim=12, rms_norm_eps=1e-5, rope_parameters=rope(
        "default", partial_rotary_factor=0.5))),
}
# Encoders: embedding.safetensors with prompt.N.states in place of logits, the last hidden states.
EMBEDDING_CASES = {
    "bert/gelu": ("BertModel", dict(layer_norm_eps=1e-12)),
    "bert/relu_heads": ("BertModel", dict(num_attention_heads=2, hidden_act="relu", layer_norm_eps=1e-5,
                                          type_vocab_size=3)),
    "mpnet/gelu": ("MPNetForMaskedLM", dict(pad_token_id=1, max_position_embeddings=130)),
    "mpnet/long": ("MPNetForMaskedLM", dict(pad_token_id=1, max_position_embeddings=322, num_attention_heads=2,
                                            hidden_act="relu", layer_norm_eps=1e-5), (300, 129, 2)),
    "qwen3/embed_tied": ("Qwen3ForCausalLM", dict(head_dim=12, num_key_value_heads=2, tie_word_embeddings=True,
                                                  rope_parameters=rope("default", 1000000.0))),
    "qwen3/embed_untied": ("Qwen3ForCausalLM", dict(head_dim=8, num_key_value_heads=1, tie_word_embeddings=False)),
}


def spread(model, generator):
    """Random weights of a size at which every part of the model matters."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() >= 2:
                p.copy_(noise * (1.5 if "embed" not in name else 1.0 * p.shape[-1] ** 0.5) * p.shape[-1] ** -0.5)
            elif "norm" in name:
                p.copy_(p + 0.3 * noise)  # around 1, or around 0 where the model adds the 1
            else:
                p.copy_(0.5 * noise)
        for name, b in model.named_buffers():
            if "correction_bias" in name:
                b.copy_(0.2 * torch.randn(b.shape, generator=generator))


def to_mxfp4(model, generator, scale):
    """Random MXFP4 experts: sets the model's matrices to what they mean, returns the tensors that hold them."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    tensors = {}
    for layer, block in enumerate(model.model.layers):
        for proj in ("gate_up_proj", "down_proj"):
            parameter = getattr(block.mlp.experts, proj)
            experts, k, n = parameter.shape
            blocks = torch.randint(0, 256, (experts, n, k // 32, 16), generator=generator, dtype=torch.uint8)
            scales = torch.randint(scale, scale + 4, (experts, n, k // 32), generator=generator, dtype=torch.uint8)
            parameter.data.copy_(convert_moe_packed_tensors(blocks, scales.clone(), dtype=torch.float32))
            name = f"model.layers.{layer}.mlp.experts.{proj}"
            tensors[name + "_blocks"], tensors[name + "_scales"] = blocks, scales
    return tensors


def save_mxfp4(folder, experts):
    """Puts the MXFP4 tensors in place of the experts' matrices that save_pretrained wrote."""
    path = folder / "model.safetensors"
    tensors = {n: t for n, t in load_file(path).items() if n + "_blocks" not in experts}
    save_file({**tensors, **experts}, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_fp8(folder):
    """Quantizes the checkpoint's projections to FP8 with a scale for each 128 x 128, as fine-grained FP8 checkpoints
    are. Returns all tensors as what they then mean."""
    path = folder / "model.safetensors"
    stored, meant = {}, {}
    for name, t in load_file(path).items():
        stored[name] = meant[name] = t
        if not name.endswith(("_proj.weight", "_proj_with_mqa.weight")):
            continue
        rows, columns = (-(-size // 128) for size in t.shape)
        padded = torch.nn.functional.pad(t, (0, columns * 128 - t.shape[1], 0, rows * 128 - t.shape[0]))
        blocks = padded.reshape(rows, 128, columns, 128)
        scales = blocks.abs().amax(dim=(1, 3)) / torch.finfo(torch.float8_e4m3fn).max
        codes = (blocks / scales[:, None, :, None]).to(torch.float8_e4m3fn)
        whole = (codes.float() * scales[:, None, :, None]).reshape(padded.shape)
        stored[name] = codes.view(torch.uint8).reshape(padded.shape)[:t.shape[0], :t.shape[1]].contiguous().view(
            torch.float8_e4m3fn)
        stored[name + "_scale_inv"] = scales
        meant[name] = whole[:t.shape[0], :t.shape[1]].contiguous()
    save_file(stored, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                     "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return meant


def run(model, ids, taps=None):
    hooks = []
    if taps is not None:
        for name, module in tap_modules(model):
            def hook(_, __, output, name=name):
                value = (output[0] if isinstance(output, tuple) else output).detach().float()
                taps[name] = value.reshape(-1, value.shape[-1]).contiguous()  # some drop the batch's dim of 1
            hooks.append(module.register_forward_hook(hook))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().contiguous()
    for h in hooks:
        h.remove()
    return logits


def make(case, out):
    architecture, overrides, *lengths = {**CASES, **EXAMPLES}[case]
    model_class = getattr(transformers, architecture)
    known = model_class.config_class()  # not every model has all of COMMON
    common = {name: value for name, value in COMMON.items() if hasattr(known, name)}
    config = model_class.config_class(**{**common, **overrides})
    config._attn_implementation = "eager"
    generator = torch.Generator().manual_seed(sum(map(ord, case)))
    model = model_class(config).eval().float()
    spread(model, generator)
    model.tie_weights()
    # Where the published limit of 7 cuts little, smaller experts keep numbers to what float32 has digits for.
    scale = 120 if case.endswith("published") else 122
    mxfp4 = to_mxfp4(model, generator, scale) if "/mxfp4" in case else None
    folder = out / case
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    if mxfp4:
        save_mxfp4(folder, mxfp4)
    if case.endswith("/fp8"):
        with tempfile.TemporaryDirectory() as widened:
            model.save_pretrained(widened)
            save_file(save_fp8(folder), pathlib.Path(widened) / "model.safetensors", metadata={"format": "pt"})
            model = model_class.from_pretrained(widened, dtype=torch.float32, attn_implementation="eager").eval()
    (folder / "generation_config.json").unlink(missing_ok=True)
    tensors, taps = {}, {}
    for n, length in enumerate(lengths[0] if lengths else PROMPT_LENGTHS):
        ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist()
        tensors[f"prompt.{n}.ids"] = torch.tensor(ids, dtype=torch.int32)
        tensors[f"prompt.{n}.logits"] = run(model, ids, taps if n == 0 else None)
    tensors.update({f"tap.{name}": value.clone() for name, value in taps.items()})
    save_file(tensors, folder / "reference.safetensors", metadata={"transformers": transformers.__version__})
    size = sum(f.stat().st_size for f in folder.iterdir())
    spread_of = tensors["prompt.0.logits"].std().item()
    print(f"{case}: {size / 1024:.0f} KiB, logits std {spread_of:.2f}, {len(taps)} taps")


def save_sentence_files(folder):
    """The files of sentence-transformers by which a decoder is known to embed."""
    module = "sentence_transformers.models."
    (folder / "modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": module + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": module + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": module + "Normalize"}], indent=2) + "\n")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_lasttoken": True}) + "\n")


def make_embedding(case, out):
    architecture, overrides, *lengths = EMBEDDING_CASES[case]
    model_class = getattr(transformers, architecture)
    sizes = {key: COMMON[key] for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                                          "num_attention_heads", "max_position_embeddings", "pad_token_id")}
    config = model_class.config_class(**{**sizes, **overrides})
    config._attn_implementation = "eager"
    generator = torch.Generator().manual_seed(sum(map(ord, case)))
    model = model_class(config).eval().float()
    spread(model, generator)
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    folder = out / case
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if architecture.endswith("ForCausalLM"):
        save_sentence_files(folder)
    backbone = getattr(model, "mpnet", getattr(model, "model", model))  # of a model with a head
    tensors = {}
    for n, length in enumerate(lengths[0] if lengths else PROMPT_LENGTHS):
        ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist()
        tensors[f"prompt.{n}.ids"] = torch.tensor(ids, dtype=torch.int32)
        with torch.no_grad():
            states = backbone(input_ids=torch.tensor([ids])).last_hidden_state[0]
        tensors[f"prompt.{n}.states"] = states.float().contiguous()
    save_file(tensors, folder / "embedding.safetensors", metadata={"transformers": transformers.__version__})
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{case}: {size / 1024:.0f} KiB, states std {tensors['prompt.0.states'].std().item():.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent / "tests" / "golden")
    parser.add_argument("cases", nargs="*")
    args = parser.parse_args()
    for case in CASES:
        if not args.cases or case in args.cases or case.split("/")[0] in args.cases:
            make(case, args.out)
    for case in EXAMPLES:
        if not args.cases or case in args.cases:
            make(case, pathlib.Path(__file__).parent.parent / "examples")
    for case in EMBEDDING_CASES:
        if not args.cases or case in args.cases or case.split("/")[0] in args.cases:
            make_embedding(case, args.out)


if __name__ == "__main__":
    main()
