#!/usr/bin/env python3
"""The acceptance run: lm-eval's gsm8k_cot_llama through /v1/chat/completions, many requests at once, beside the same
requests one at a time and beside transformers.

  tools/eval/run.py --tenon BINARY --model MODEL --out DIR [--data gsm8k/test.jsonl] [--limit 320] [--concurrent 64]
                    [--chat-template FILE] [--skip alone,reference] [-- more arguments of `tenon serve`]

Three runs of the same task, each with the samples and the server's log in DIR:
  concurrent  Tenon, --concurrent requests at once, prefix cache on
  alone       Tenon, one request at a time, no prefix cache: every reply must be the same, byte for byte
  reference   transformers (reference_server.py), float32, a batch of one
Prints both scores, their ratio (accepted: at least 0.95), the share of samples with the same reply, time and cache
hits; DIR/summary.json has them too. Exit status 1: a request was lost, a reply differs alone, or the ratio is less.
"""
import argparse
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TASK = "gsm8k_cot_llama"


def write_task(folder, data):
    """lm-eval's own task; with `data`, on that file of questions in place of the hub's dataset."""
    import lm_eval

    stock = pathlib.Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k-cot-llama.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.yaml").write_text(f"include: {stock}\ntask: {TASK}_file\ndataset_path: json\ndataset_name: null\n"
                                      f"dataset_kwargs:\n  data_files:\n    test: {data.resolve()}\n")
    return f"{TASK}_file"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return reply.read().decode()


class Server:
    """A server in a process of its own, from ready to ended."""

    def __init__(self, command, port, log):
        self.log, self.url = log, f"http://127.0.0.1:{port}"
        with open(log, "w") as out:
            self.process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=out)
        while True:
            try:
                get(self.url + "/health")
                return
            except (urllib.error.URLError, OSError):
                if self.process.poll() is not None:
                    sys.exit(f"{command[0]} ended: see {log}")
                time.sleep(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def evaluate(args, url, task, concurrent, out):
    """Runs lm-eval; (scores, replies by document, seconds)."""
    command = [sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--model_args",
               f"model={args.name},base_url={url}/v1/chat/completions,num_concurrent={concurrent},max_retries=1,"
               "tokenized_requests=False,timeout=36000", "--tasks", task, "--apply_chat_template",
               "--fewshot_as_multiturn", "--limit", str(args.limit), "--gen_kwargs", "temperature=0", "--seed", "42",
               "--log_samples", "--output_path", out]
    if args.data:
        command += ["--include_path", args.out / "tasks"]
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    begin = time.time()
    with open(str(out) + ".log", "w") as log:
        status = subprocess.run([str(c) for c in command], stdout=log, stderr=log, env=environment).returncode
    seconds = time.time() - begin
    if status:
        sys.exit(f"lm-eval failed: see {out}.log")
    results = json.loads(max(out.rglob("results_*.json")).read_text())["results"][task]
    scores = {key.split(",")[1]: value for key, value in results.items() if re.match(r"exact_match,", key)}
    lines = max(out.rglob("samples_*.jsonl")).read_text().splitlines()
    replies = {sample["doc_id"]: sample["resps"][0][0] for sample in map(json.loads, lines)}
    return scores, replies, seconds


def metrics(server):
    pairs = re.findall(r"^tenon:(\w+)(?:{[^}]*})? ([\d.e+-]+)$", get(server.url + "/metrics"), re.M)
    return {name: float(value) for name, value in pairs}


def same(a, b):
    return sum(a[doc] == b.get(doc) for doc in a)


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
    parser.add_argument("--skip", default="", help="of: alone,reference")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    args.serve = sys.argv[split + 1:]
    args.out = args.out.resolve()
    task = write_task(args.out / "tasks", args.data) if args.data else TASK
    template = ["--chat-template", args.chat_template] if args.chat_template else []
    skip, ok = args.skip.split(","), True

    def tenon(run, *more):
        port = free_port()
        return Server([args.tenon, "serve", "--model", args.model, "--served-model-name", args.name, "--port", port,
                       *template, *more, *args.serve], port, args.out / f"{run}.server.log")

    with tenon("concurrent") as server:
        scores, replies, seconds = evaluate(args, server.url, task, args.concurrent, args.out / "concurrent")
        seen = metrics(server)
    summary = {"model": pathlib.Path(args.model).name, "limit": args.limit, "concurrent": args.concurrent,
               "serve": args.serve, "answered": len(replies), "scores": scores, "seconds": round(seconds, 1),
               "generated_tokens": int(seen["generation_tokens_total"]),
               "cache_hit_rate": round(seen["prefix_cache_hits_total"] / max(1, seen["prefix_cache_queries_total"]), 4)}
    ok &= len(replies) == args.limit and None not in replies.values()
    if "alone" not in skip:
        with tenon("alone", "--no-enable-prefix-caching") as server:
            _, alone, summary["alone_seconds"] = evaluate(args, server.url, task, 1, args.out / "alone")
        summary["same_alone"] = same(replies, alone)
        ok &= summary["same_alone"] == args.limit
    if "reference" not in skip:
        port = free_port()
        drafts = max((args.out / "concurrent").rglob("samples_*.jsonl"))
        with Server([sys.executable, HERE / "reference_server.py", args.model, "--port", port, "--drafts", drafts,
                     *template], port, args.out / "reference.server.log") as server:
            summary["reference_scores"], reference, summary["reference_seconds"] = evaluate(
                args, server.url, task, 1, args.out / "reference")
        summary["same_as_reference"] = same(replies, reference)
        summary["ratio"] = {name: round(score / summary["reference_scores"][name], 4)
                            if summary["reference_scores"][name] else None for name, score in scores.items()}
        ok &= all(ratio is None or ratio >= 0.95 for ratio in summary["ratio"].values())
    (args.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
