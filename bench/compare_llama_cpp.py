#!/usr/bin/env python3
"""Tenon beside llama.cpp on the same GGUF files: alternating runs, the same threads, medians of each.

  bench/compare_llama_cpp.py --tenon build/release/src/cli/tenon --llama-bench PATH [--rounds 3] [--threads 2] FILE.gguf…

Prefill is 512 tokens, decode 64 tokens at batch 1. Prints a table; --out appends one JSON line a file to it
(bench/history.jsonl). Nothing else should run on the machine.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time


def run(command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def tenon(binary, model, threads):
    line = run([binary, "bench", "--model", model, "--threads", threads, "--prompt-tokens", 512, "--new-tokens", 64,
                "--batch", 1, "--repeat", 1, "--json"]).strip().splitlines()[-1]
    return json.loads(line)


def rate_of(line, phase):
    """(tokens/s, share of the machine's limit)"""
    if phase == "prefill":
        return line["prefill_tokens_per_s"], line["prefill_share"]
    return line["decode"][0]["tokens_per_s"], line["decode"][0]["read_share"]


def llama(binary, model, threads):
    rows = json.loads(run([binary, "-m", model, "-p", 512, "-n", 64, "-t", threads, "-r", 1, "-o", "json"]))
    return {("prefill" if row["n_prompt"] else "decode"): row["avg_ts"] for row in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    print(f"{'model':<16}{'':<10}{'tenon':>9}{'llama.cpp':>11}{'ratio':>7}{'of limit':>10}")
    for model in args.models:
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(tenon(args.tenon, model, args.threads))
            theirs.append(llama(args.llama_bench, model, args.threads))
        record = {"date": time.strftime("%Y-%m-%d"), "kind": "beside llama.cpp", "model": model.stem,
                  "threads": args.threads, "rounds": args.rounds}
        for phase in ("prefill", "decode"):
            mine = statistics.median(rate_of(x, phase)[0] for x in ours)
            limit = statistics.median(rate_of(x, phase)[1] for x in ours)
            other = statistics.median(x[phase] for x in theirs)
            record[phase] = {"tenon": round(mine, 2), "llama.cpp": round(other, 2), "ratio": round(mine / other, 3),
                             "share_of_limit": round(limit, 3)}
            print(f"{model.stem:<16}{phase:<10}{mine:>9.1f}{other:>11.1f}{mine / other:>7.2f}{100 * limit:>9.1f}%")
        if args.out:
            with args.out.open("a") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
