#!/usr/bin/env python3
"""Writes Llama-3.2-1B-shaped checkpoints of random weights for speed measurements (never for their output).

  bench/make_model.py OUT [--layers 16] [--formats bfloat16,fp8,q8_0,q4_0,gguf_bf16] [--tokenizer FOLDER]

FOLDER has the tokenizer.json and tokenizer_config.json of a Llama 3: a model that is to be served needs them.
bfloat16 and fp8 are SafeTensors directories OUT/NAME; the others are GGUF files OUT/NAME.gguf that llama.cpp loads as well.
Needs numpy and gguf (tools/requirements.txt).
"""
import argparse
import json
import pathlib
import shutil

import numpy as np

SHAPE = dict(hidden=2048, intermediate=8192, heads=32, kv_heads=8, head_dim=64, vocab=128256)


def tensors(layers):
    """(HF name, GGUF name, shape), output features first."""
    h, i, kv = SHAPE["hidden"], SHAPE["intermediate"], SHAPE["kv_heads"] * SHAPE["head_dim"]
    yield "model.embed_tokens.weight", "token_embd.weight", (SHAPE["vocab"], h)
    for n in range(layers):
        a, b = f"model.layers.{n}.", f"blk.{n}."
        yield a + "input_layernorm.weight", b + "attn_norm.weight", (h,)
        yield a + "self_attn.q_proj.weight", b + "attn_q.weight", (h, h)
        yield a + "self_attn.k_proj.weight", b + "attn_k.weight", (kv, h)
        yield a + "self_attn.v_proj.weight", b + "attn_v.weight", (kv, h)
        yield a + "self_attn.o_proj.weight", b + "attn_output.weight", (h, h)
        yield a + "post_attention_layernorm.weight", b + "ffn_norm.weight", (h,)
        yield a + "mlp.gate_proj.weight", b + "ffn_gate.weight", (i, h)
        yield a + "mlp.up_proj.weight", b + "ffn_up.weight", (i, h)
        yield a + "mlp.down_proj.weight", b + "ffn_down.weight", (h, i)
    yield "model.norm.weight", "output_norm.weight", (h,)


def random_bf16(shape, random):
    """bfloat16 bits of numbers around ±0.03: random sign and mantissa, exponents of 2^-8 … 2^-5."""
    bits = random.integers(0, 1 << 16, size=shape, dtype=np.uint16)
    return (bits & 0x807F) | ((119 + ((bits >> 7) & 3)) << 7).astype(np.uint16)


def random_blocks(name, shape, random):
    rows, k = shape
    if name == "q8_0":
        block = random.integers(0, 256, size=(rows, k // 32, 34), dtype=np.uint8)
        scale = 2.5e-4
    else:
        block = random.integers(0, 256, size=(rows, k // 32, 18), dtype=np.uint8)
        scale = 4e-3
    block[:, :, :2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return block.reshape(rows, -1)


def random_fp8(shape, random):
    """E4M3 codes of any sign and mantissa, with exponents of 2^-3 … 2^0."""
    bits = random.integers(0, 256, size=shape, dtype=np.uint8)
    return (bits & 0x87) | ((4 + ((bits >> 3) & 3)) << 3).astype(np.uint8)


def stored(layers, fp8):
    """(name, dtype, shape, data(random)) of the tensors of a SafeTensors file."""
    for name, _, shape in tensors(layers):
        if len(shape) == 1:
            yield name, "BF16", shape, lambda _, shape=shape: np.full(shape, 0x3F80, np.uint16)
        elif fp8 and "_proj." in name:
            blocks = tuple(-(-size // 128) for size in shape)
            yield name, "F8_E4M3", shape, lambda random, shape=shape: random_fp8(shape, random)
            yield name + "_scale_inv", "F32", blocks, lambda _, shape=blocks: np.full(shape, 0.03, np.float32)
        else:
            yield name, "BF16", shape, lambda random, shape=shape: random_bf16(shape, random)


def write_safetensors(folder, layers, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json") if tokenizer else ():
        shutil.copyfile(tokenizer / name, folder / name)
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=SHAPE["hidden"],
                  intermediate_size=SHAPE["intermediate"], num_hidden_layers=layers, hidden_act="silu",
                  num_attention_heads=SHAPE["heads"], num_key_value_heads=SHAPE["kv_heads"], head_dim=SHAPE["head_dim"],
                  vocab_size=SHAPE["vocab"], max_position_embeddings=131072, rms_norm_eps=1e-5, rope_theta=500000.0,
                  tie_word_embeddings=True, torch_dtype="bfloat16", bos_token_id=128000, eos_token_id=128001,
                  rope_scaling=dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                    original_max_position_embeddings=8192))
    fp8 = folder.name == "fp8"
    if fp8:
        config["quantization_config"] = dict(quant_method="fp8", weight_block_size=[128, 128])
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    header, offset = {}, 0
    for name, dtype, shape, _ in stored(layers, fp8):
        size = dict(BF16=2, F32=4, F8_E4M3=1)[dtype] * int(np.prod(shape))
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[offset, offset + size])
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(1)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for *_, data in stored(layers, fp8):
            f.write(data(random).tobytes())


def add_made_up_vocabulary(w, size=SHAPE["vocab"]):
    """llama.cpp wants one, `tenon bench` does not look at it."""
    specials = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % i for i in range(256)]
    w.add_tokenizer_model("llama")
    w.add_token_list(specials + [b"t%d" % i for i in range(size - len(specials))])
    w.add_token_scores([0.0] * size)
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (size - len(specials)))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


def add_tokenizer(w, folder):
    """Llama 3's, of byte pairs."""
    description = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = dict(description["model"]["vocab"])
    ids |= {token["content"]: token["id"] for token in description["added_tokens"]}
    special = {token["id"] for token in description["added_tokens"] if token["special"]}
    texts = {i: text for text, i in ids.items()}
    if set(texts) != set(range(SHAPE["vocab"])):
        raise SystemExit(f"{folder}: {len(texts)} tokens, not the {SHAPE['vocab']} of Llama 3")
    merges = [m if isinstance(m, str) else " ".join(m) for m in description["model"]["merges"]]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list([texts[i] for i in range(SHAPE["vocab"])])
    w.add_token_types([3 if i in special else 1 for i in range(SHAPE["vocab"])])
    w.add_token_merges(merges)
    w.add_bos_token_id(128000)
    w.add_eos_token_id(128001)


def write_gguf(path, name, layers, tokenizer):
    import gguf

    w = gguf.GGUFWriter(path, "llama")
    w.add_block_count(layers)
    w.add_context_length(131072)
    w.add_embedding_length(SHAPE["hidden"])
    w.add_feed_forward_length(SHAPE["intermediate"])
    w.add_head_count(SHAPE["heads"])
    w.add_head_count_kv(SHAPE["kv_heads"])
    w.add_rope_dimension_count(SHAPE["head_dim"])
    w.add_rope_freq_base(500000.0)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(SHAPE["vocab"])
    if tokenizer:
        add_tokenizer(w, tokenizer)
    else:
        add_made_up_vocabulary(w)
    random = np.random.default_rng(1)
    types = dict(q8_0=gguf.GGMLQuantizationType.Q8_0, q4_0=gguf.GGMLQuantizationType.Q4_0,
                 gguf_bf16=gguf.GGMLQuantizationType.BF16)
    for _, tensor, shape in tensors(layers):
        if len(shape) == 1:
            w.add_tensor(tensor, np.ones(shape, np.float32))
        elif name == "gguf_bf16":
            w.add_tensor(tensor, random_bf16(shape, random).view(np.uint8), raw_dtype=types[name])
        else:
            w.add_tensor(tensor, random_blocks(name, shape, random), raw_dtype=types[name])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--formats", default="bfloat16,q8_0,q4_0")
    parser.add_argument("--tokenizer", type=pathlib.Path)
    args = parser.parse_args()
    for name in args.formats.split(","):
        if name in ("bfloat16", "fp8"):
            write_safetensors(args.out / name, args.layers, args.tokenizer)
        else:
            args.out.mkdir(parents=True, exist_ok=True)
            write_gguf(args.out / f"{name}.gguf", name, args.layers, args.tokenizer)


if __name__ == "__main__":
    main()
