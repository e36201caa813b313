#!/usr/bin/env python3
"""Dumps what transformers computes for a model into one SafeTensors file, for `tenon verify`.

  tools/make_reference.py MODEL OUT.safetensors [--text FILE] [--tokens 512] [--prompt-tokens 256] [--no-taps]

MODEL is a hub id, a directory or a .gguf file (dequantized by transformers). The file holds
  prompt.N.ids     int32 [tokens]
  prompt.N.logits  float32 [tokens, vocab]: logits after each token, the prompt run in one forward pass
  tap.NAME         float32 [tokens, width]: the output of module NAME for prompt 0 (the embedding, each layer, its
                   attention and MLP, the last norm)
and as metadata the model class, its config and the config's digest, and transformers' version, so that the dump is not
taken for one of another model. Without --text, or without a tokenizer, the ids are random, of a fixed seed.
With --bfloat16 the difference to the float32 run of the same ids is printed too: the figure that Tenon's own
bfloat16 run has to beat.
"""
import argparse
import hashlib
import json
import pathlib
import re

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

# The list of layers; and within one its attention, or what stands for it, and its MLP.
LAYER = re.compile(r"(.*\.)?(layers|layer|blocks|block|h)\.\d+$")
PART = re.compile(r"(self_)?attn|(self_)?attention|mlp|ffn|block_sparse_moe|feed_forward|conv|linear_attn")
NORM = re.compile(r"(.*\.)?(\w*norm|ln_f)$")


def where(model):
    path = pathlib.Path(model)
    if path.suffix == ".gguf":
        return dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
    return dict(pretrained_model_name_or_path=model)


def load(model, dtype, trust_remote_code=False):
    found = AutoModelForCausalLM.from_pretrained(**where(model), dtype=dtype, attn_implementation="eager",
                                                 trust_remote_code=trust_remote_code)
    return found.eval()


def config_text(model, loaded):
    """config.json as it lies beside the weights, so that it can be compared with what tenon reads; compact."""
    path = pathlib.Path(model) / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else loaded.config.to_diff_dict()
    return json.dumps(config, separators=(",", ":"), sort_keys=True, default=str)


def token_ids(args, vocab):
    if args.text:
        tokenizer = AutoTokenizer.from_pretrained(**where(args.model))
        text = pathlib.Path(args.text).read_text(encoding="utf-8")
        return tokenizer(text, add_special_tokens=False).input_ids[: args.tokens]
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, vocab, (args.tokens,), generator=generator).tolist()


def tap_modules(model):
    """The text model's modules worth a tap, by their names in a model of text alone: one of images too has them in its
    language_model."""
    names = {module: name for name, module in model.named_modules()}
    layers = {name for name in names.values() if LAYER.match(name)}
    # The norms that stand beside the list of layers.
    beside = {name.rsplit(".", 2)[0] for name in layers if name.count(".") > 1}
    embedding = model.get_input_embeddings()
    for module, name in names.items():
        above, _, last = name.rpartition(".")
        if (module is embedding or name in layers or (above in layers and PART.fullmatch(last))
                or (above in beside and NORM.match(name))):
            yield ".".join(part for part in name.split(".") if part != "language_model"), module


def run(model, ids, taps=None):
    hooks = []
    if taps is not None:
        for name, module in tap_modules(model):
            def keep(_, __, output, name=name):
                value = output[0] if isinstance(output, tuple) else output
                taps[name] = value.detach().reshape(-1, value.shape[-1])[: len(ids)].float().contiguous().clone()
            hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().contiguous()
    for hook in hooks:
        hook.remove()
    return logits


def reference_tensors(model, prompts, with_taps=True):
    """The tensors of a dump; prompt 0 is the one with taps."""
    tensors, taps = {}, {}
    for n, ids in enumerate(prompts):
        tensors[f"prompt.{n}.ids"] = torch.tensor(ids, dtype=torch.int32)
        tensors[f"prompt.{n}.logits"] = run(model, ids, taps if with_taps and n == 0 else None)
    tensors.update({f"tap.{name}": value for name, value in taps.items()})
    return tensors


def reference_metadata(model, config):
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return {"architecture": type(model).__name__, "config": config, "dtype": dtype,
            "config_sha256": hashlib.sha256(config.encode()).hexdigest(), "transformers": transformers.__version__}


def compare_bfloat16(model, prompts, logits):
    model = model.to(torch.bfloat16)
    kl, top1, worst, tokens = 0.0, 0, 0.0, 0
    for ids, a in zip(prompts, logits):
        b = run(model, ids)
        la, lb = torch.log_softmax(a.double(), -1), torch.log_softmax(b.double(), -1)
        token_kl = (la.exp() * (la - lb)).sum(-1)
        kl, worst = kl + token_kl.sum().item(), max(worst, token_kl.max().item())
        top1 += (a.argmax(-1) == b.argmax(-1)).sum().item()
        tokens += len(ids)
    print(f"transformers bfloat16 against its float32: KL mean {kl / tokens:.3g} max {worst:.3g}, "
          f"top-1 agreement {100 * top1 / tokens:.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--text", help="a text file to take the ids from")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--no-taps", action="store_true", help="logits only: a small file, but verify cannot say why")
    parser.add_argument("--bfloat16", action="store_true", help="also compare transformers' bfloat16 run with its float32")
    parser.add_argument("--trust-remote-code", action="store_true", help="run modelling code that comes with the model")
    args = parser.parse_args()
    model = load(args.model, torch.float32, args.trust_remote_code)
    ids = token_ids(args, model.get_input_embeddings().weight.shape[0])
    if not ids:
        parser.error("the text gives no tokens")
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None) or args.prompt_tokens
    size = min(args.prompt_tokens, limit)
    prompts = [ids[i : i + size] for i in range(0, len(ids), size)]
    tensors = reference_tensors(model, prompts, not args.no_taps)
    save_file(tensors, args.out, metadata=reference_metadata(model, config_text(args.model, model)))
    taps = sum(name.startswith("tap.") for name in tensors)
    print(f"{args.out}: {len(ids)} tokens in {len(prompts)} prompts, {taps} taps")
    if args.bfloat16:
        compare_bfloat16(model, prompts, [tensors[f"prompt.{n}.logits"] for n in range(len(prompts))])


if __name__ == "__main__":
    main()
