#!/usr/bin/env python3
"""The acceptance run: tasks of lm-eval on Tenon and on transformers.

  tools/eval/run.py --tenon BINARY --model MODEL --out DIR [--data gsm8k/test.jsonl] [--limit 320] [--concurrent 64]
                    [--chat-template FILE] [--skip chat,alone,choice,reference] [-- more arguments of `tenon serve`]

  chat.py    replies to chats: many at once, one at a time, and the reference's; its score is reached to 95 %
  choice.py  multiple choice by loglikelihoods, beside lm-eval's own `hf` model; its score is reached to 0.5 %

Prints the figures by task; DIR/summary.json has them too, and DIR the samples and the servers' logs. Exit status 1: a
task is not accepted.
"""
import argparse
import json
import pathlib
import sys

import chat
import choice
import harness


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", default="model", help="the model's name in the API")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, help="GSM8K's test.jsonl; default: from the hub")
    parser.add_argument("--limit", type=int, default=320)
    parser.add_argument("--concurrent", type=int, default=64)
    parser.add_argument("--chat-template", type=pathlib.Path, help="for models that have none, e.g. base_model.jinja")
    parser.add_argument("--skip", default="", help="of: chat,alone,choice,reference")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    args.out = args.out.resolve()
    args.skip = {name for name in args.skip.split(",") if name}
    if wrong := args.skip - {"chat", "alone", "choice", "reference"}:
        parser.error(f"--skip: not one of chat, alone, choice, reference: {', '.join(sorted(wrong))}")
    args.template = ["--chat-template", args.chat_template] if args.chat_template else []
    serve = sys.argv[split + 1:]

    def tenon(run, *more):
        port = harness.free_port()
        command = [args.tenon, "serve", "--model", args.model, "--served-model-name", args.name, "--port", port,
                   *args.template, *more, *serve]
        return harness.Server(command, port, args.out / f"{run}.server.log")

    (args.out / "tasks").mkdir(parents=True, exist_ok=True)
    summary, ok = {"model": pathlib.Path(args.model).name, "limit": args.limit, "concurrent": args.concurrent,
                   "serve": serve}, True
    for task in (chat, choice):
        if task.__name__ not in args.skip:
            summary[task.TASK], accepted = task.compare(args, tenon)
            ok &= accepted
    (args.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
