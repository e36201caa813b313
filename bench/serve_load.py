#!/usr/bin/env python3
"""A server under load, by a public client (guidellm), and two measures of its own.

  DIR/bin/python bench/serve_load.py --tenon BINARY --model MODEL [--tokenizer FOLDER] [--out bench/history.jsonl]
                 [--concurrent 1,8,32,64] [--measure load,decode,prefix] [-- more arguments of `tenon serve`]

DIR is a virtual environment with bench/requirements.txt. FOLDER has the model's tokenizer.json; it is needed where MODEL
is no folder that has one. Measures:
  load    guidellm, so many users at once, text completions with lengths like ShareGPT's: throughput, time to first token
          (TTFT) and time per output token (TPOT). Each run has prompts of its own
  decode  tokens/s while one user's reply, and while as many as the most users' replies, are being written
  prefix  TTFT of two requests that share 1,200 tokens: the second's as a share of the first's
Prints a JSON line for each; --out appends them to a file. Nothing else should run on the machine.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools/eval"))

import harness  # noqa: E402
import streams  # noqa: E402

# Means and spread of ShareGPT's first turns, as benchmarks of servers filter them (nothing over 1,024 tokens). guidellm
# draws from a normal distribution and clips.
LENGTHS = {"prompt_tokens": 220, "prompt_tokens_stdev": 200, "prompt_tokens_min": 8, "prompt_tokens_max": 1024,
           "output_tokens": 200, "output_tokens_stdev": 150, "output_tokens_min": 8, "output_tokens_max": 800}
PERCENTILES = (50, 90, 95, 99)


def options(kind, **values):
    return ",".join([f"kind={kind}", *(f"{key}={value}" for key, value in values.items())])


def percentiles(requests, name):
    """Of requests: the least value that this share of them does not exceed."""
    values = sorted(request[name] for request in requests)
    return {f"p{p}": round(values[max(0, math.ceil(len(values) * p / 100) - 1)], 1) for p in PERCENTILES}


def load(url, name, tokenizer, users, requests, scratch):
    """One run of guidellm with `users` at once."""
    report, log = scratch / f"load{users}.json", scratch / f"load{users}.log"
    command = [sys.executable, "-m", "guidellm", "run", "--disable-console",
               "--backend", options("openai_http", target=url, model=name, request_format="/v1/completions"),
               "--profile", options("concurrent", streams=users), "--constraint", options("max_requests", count=requests),
               "--tokenizer", options("hf_auto", model=tokenizer), "--data", options("synthetic_text", **LENGTHS),
               "--seed", options("static", value=1000 + users), "--output", options("json", path=report)]
    with open(log, "w") as out:
        if subprocess.run(command, stdout=out, stderr=out).returncode:
            sys.exit(f"guidellm failed: see {log}")
    run = json.loads(report.read_text())["benchmarks"][0]
    answered = run["requests"]["successful"]
    if len(answered) != requests:
        sys.exit(f"{requests - len(answered)} of {requests} requests failed: see {report}")
    prompt, output = (sum(request[f"{kind}_tokens"] for request in answered) for kind in ("prompt", "output"))
    longer = [request for request in answered if request["output_tokens"] > 1]
    return {"users": users, "requests": requests, "seconds": round(run["duration"], 1),
            "mean_prompt_tokens": round(prompt / requests, 1), "mean_output_tokens": round(output / requests, 1),
            "requests_per_s": round(requests / run["duration"], 3),
            "output_tokens_per_s": round(output / run["duration"], 1),
            "total_tokens_per_s": round((prompt + output) / run["duration"], 1),
            "ttft_ms": percentiles(answered, "time_to_first_token_ms"),
            # guidellm's time_per_output_token has the time to the first one in it.
            "tpot_ms": percentiles(longer, "inter_token_latency_ms")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", help="default: the model's folder")
    parser.add_argument("--name", default="model", help="the model's name in the API")
    parser.add_argument("--concurrent", default="1,8,32,64")
    parser.add_argument("--requests-per-user", type=int, default=3)
    parser.add_argument("--least-requests", type=int, default=12)
    parser.add_argument("--decode-tokens", type=int, default=256, help="of each reply of `decode`")
    parser.add_argument("--measure", default="load,decode,prefix")
    parser.add_argument("--machine", default="", help="a note for the record")
    parser.add_argument("--out", type=pathlib.Path, help="a file to append to")
    parser.add_argument("--scratch", type=pathlib.Path, help="for logs and guidellm's reports; default: a new folder")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    serve, users = sys.argv[split + 1:], [int(n) for n in args.concurrent.split(",")]
    scratch = args.scratch or pathlib.Path(tempfile.mkdtemp(prefix="tenon-load-"))
    scratch.mkdir(parents=True, exist_ok=True)
    facts = {"date": time.strftime("%Y-%m-%d"), "model": pathlib.Path(args.model).name, "serve": serve,
             "machine": args.machine}

    def record(kind, figures):
        line = json.dumps({"date": facts["date"], "kind": kind, **facts, **figures})
        print(line, flush=True)
        if args.out:
            with open(args.out, "a") as out:
                out.write(line + "\n")

    def server(kind):
        port = harness.free_port()
        command = [args.tenon, "serve", "--model", args.model, "--served-model-name", args.name, "--port", port, *serve]
        return harness.Server(command, port, scratch / f"{kind}.server.log")

    measures = args.measure.split(",")
    tokenizer = args.tokenizer or args.model
    if "load" in measures and not (pathlib.Path(tokenizer) / "tokenizer.json").is_file():
        parser.error(f"{tokenizer} has no tokenizer.json, without which guidellm makes no prompts: see --tokenizer")
    if "load" in measures:
        with server("load") as running:
            for n in users:
                requests = max(args.least_requests, n * args.requests_per_user)
                record("load", {"client": "guidellm", **load(running.url, args.name, tokenizer, n,
                                                             requests, scratch)})
    if "decode" in measures:
        with server("decode") as running:
            one, many = (streams.decode_rate(running.url, args.name, n, args.decode_tokens) for n in (1, max(users)))
        record("decode of many", {"users": max(users), "tokens_per_s": round(many, 1), "one_user_tokens_per_s":
                                  round(one, 1), "ratio": round(many / one, 2)})
    if "prefix" in measures:
        with server("prefix") as running:
            record("shared prefix", streams.shared_prefix(running.url, args.name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
