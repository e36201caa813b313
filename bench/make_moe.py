#!/usr/bin/env python3
"""Writes mixture-of-experts GGUF files of random weights for speed measurements (never for their output).

  bench/make_moe.py FILE.gguf --family qwen3_moe [--format q4_0|q8_0|gguf_bf16] [--layers 8]
  bench/make_moe.py FILE.gguf --family gpt_oss [--layers 8]

The layers have the shapes of Qwen3-30B-A3B and of gpt-oss-20b (MXFP4 experts, the rest Q8_0); there are fewer of them, and
a vocabulary of 32,000, so that the files are small. llama.cpp loads them as well. Needs numpy and gguf
(tools/requirements.txt).
"""
import argparse

import gguf
import numpy as np

import make_model

FAMILIES = dict(
    qwen3_moe=dict(arch="qwen3moe", hidden=2048, heads=32, kv_heads=4, head_dim=128, experts=128, used=8, width=768),
    gpt_oss=dict(arch="gpt-oss", hidden=2880, heads=64, kv_heads=8, head_dim=64, experts=32, used=4, width=2880))
TYPES = dict(q8_0=gguf.GGMLQuantizationType.Q8_0, q4_0=gguf.GGMLQuantizationType.Q4_0,
             gguf_bf16=gguf.GGMLQuantizationType.BF16, mxfp4=gguf.GGMLQuantizationType.MXFP4)
VOCAB = 32000


class Writer:
    def __init__(self, path, family, layers):
        self.random = np.random.default_rng(1)
        self.gguf = w = gguf.GGUFWriter(path, family["arch"])
        w.add_block_count(layers)
        w.add_context_length(131072)
        w.add_embedding_length(family["hidden"])
        w.add_feed_forward_length(family["width"])
        w.add_expert_feed_forward_length(family["width"])
        w.add_expert_count(family["experts"])
        w.add_expert_used_count(family["used"])
        w.add_head_count(family["heads"])
        w.add_head_count_kv(family["kv_heads"])
        w.add_key_length(family["head_dim"])
        w.add_value_length(family["head_dim"])
        w.add_rope_freq_base(1e6)
        w.add_layer_norm_rms_eps(1e-6)
        w.add_vocab_size(VOCAB)

    def ones(self, name, size):
        self.gguf.add_tensor(name, np.ones(size, np.float32))

    def floats(self, name, *shape):
        self.gguf.add_tensor(name, (self.random.standard_normal(shape) * 0.02).astype(np.float32))

    def weight(self, name, form, *shape):
        rows, k = int(np.prod(shape[:-1])), shape[-1]
        if form == "gguf_bf16":
            data = make_model.random_bf16(shape, self.random).view(np.uint8)
        elif form == "mxfp4":
            blocks = self.random.integers(0, 256, size=(rows, k // 32, 17), dtype=np.uint8)
            blocks[:, :, 0] = self.random.integers(118, 122, size=(rows, k // 32), dtype=np.uint8)  # 2^-9 … 2^-6
            data = blocks.reshape(*shape[:-1], -1)
        else:
            data = make_model.random_blocks(form, (rows, k), self.random).reshape(*shape[:-1], -1)
        self.gguf.add_tensor(name, data, raw_dtype=TYPES[form])

    def close(self):
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def write(path, name, form, layers):
    family = FAMILIES[name]
    h, experts, width = family["hidden"], family["experts"], family["width"]
    q, kv = family["heads"] * family["head_dim"], family["kv_heads"] * family["head_dim"]
    sinks = name == "gpt_oss"
    dense, sparse = ("q8_0", "mxfp4") if sinks else (form, form)
    w = Writer(path, family, layers)
    if sinks:
        w.gguf.add_sliding_window(128)
        w.gguf.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.gguf.add_rope_scaling_factor(32.0)
        w.gguf.add_rope_scaling_orig_ctx_len(4096)
    make_model.add_made_up_vocabulary(w.gguf, VOCAB)
    w.weight("token_embd.weight", dense, VOCAB, h)
    w.ones("output_norm.weight", h)
    w.weight("output.weight", dense, VOCAB, h)
    for n in range(layers):
        block = f"blk.{n}."
        w.ones(block + "attn_norm.weight", h)
        for part, rows, columns in (("q", q, h), ("k", kv, h), ("v", kv, h), ("output", h, q)):
            w.weight(block + f"attn_{part}.weight", dense, rows, columns)
            if sinks:
                w.floats(block + f"attn_{part}.bias", rows)
        w.ones(block + ("post_attention_norm.weight" if sinks else "ffn_norm.weight"), h)
        if sinks:
            w.floats(block + "attn_sinks.weight", family["heads"])
            w.floats(block + "ffn_gate_inp.bias", experts)
        else:
            w.ones(block + "attn_q_norm.weight", family["head_dim"])
            w.ones(block + "attn_k_norm.weight", family["head_dim"])
        w.floats(block + "ffn_gate_inp.weight", experts, h)
        for part, rows, columns in (("gate", width, h), ("up", width, h), ("down", h, width)):
            w.weight(block + f"ffn_{part}_exps.weight", sparse, experts, rows, columns)
            if sinks:
                w.floats(block + f"ffn_{part}_exps.bias", experts, rows)
    w.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--format", choices=["q4_0", "q8_0", "gguf_bf16"], default="q4_0")
    parser.add_argument("--layers", type=int, default=8)
    args = parser.parse_args()
    write(args.out, args.family, args.format, args.layers)


if __name__ == "__main__":
    main()
