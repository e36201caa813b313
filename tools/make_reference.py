#!/usr/bin/env python3
"""Dumps what transformers computes for a model: token ids and logits (float32) into one SafeTensors file.

  tools/make_reference.py MODEL OUT.safetensors --text FILE [--tokens 2048] [--prompt-tokens 512] [--bfloat16]

MODEL is a directory or a .gguf file (dequantized by transformers). The text is cut into prompts of --prompt-tokens ids.
With --bfloat16 the difference to the float32 run of the same ids is printed too: the figure that Tenon's own
bfloat16 run has to beat.
"""
import argparse
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(model, dtype):
    path = pathlib.Path(model)
    where = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name) if path.suffix == ".gguf" else dict(
        pretrained_model_name_or_path=model)
    tokenizer = AutoTokenizer.from_pretrained(**where)
    return tokenizer, AutoModelForCausalLM.from_pretrained(**where, dtype=dtype).eval()


def logits_of(model, prompts):
    with torch.no_grad():
        return [model(input_ids=torch.tensor([p])).logits[0].float() for p in prompts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--text", required=True)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--bfloat16", action="store_true", help="also compare transformers' bfloat16 run with its float32")
    args = parser.parse_args()
    tokenizer, model = load(args.model, torch.float32)
    ids = tokenizer(pathlib.Path(args.text).read_text(), add_special_tokens=False).input_ids[: args.tokens]
    prompts = [ids[i : i + args.prompt_tokens] for i in range(0, len(ids), args.prompt_tokens)]
    logits = logits_of(model, prompts)
    tensors = {}
    for n, (p, l) in enumerate(zip(prompts, logits)):
        tensors[f"prompt.{n}.ids"] = torch.tensor(p, dtype=torch.int32)
        tensors[f"prompt.{n}.logits"] = l.contiguous()
    save_file(tensors, args.out)
    print(f"{args.out}: {len(ids)} tokens in {len(prompts)} prompts")
    if args.bfloat16:
        kl, top1, worst = 0.0, 0, 0.0
        for a, b in zip(logits, logits_of(model.to(torch.bfloat16), prompts)):
            la, lb = torch.log_softmax(a.double(), -1), torch.log_softmax(b.double(), -1)
            token_kl = (la.exp() * (la - lb)).sum(-1)
            kl, worst = kl + token_kl.sum().item(), max(worst, token_kl.max().item())
            top1 += (a.argmax(-1) == b.argmax(-1)).sum().item()
        print(f"transformers bfloat16 against its float32: KL mean {kl / len(ids):.3g} max {worst:.3g}, "
              f"top-1 agreement {100 * top1 / len(ids):.2f} %")


if __name__ == "__main__":
    main()
