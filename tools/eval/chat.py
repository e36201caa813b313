"""Replies to chats: lm-eval's gsm8k_cot_llama through /v1/chat/completions. Three runs of the same task:

  concurrent  Tenon, many requests at once, prefix cache on
  alone       Tenon, one request at a time, no prefix cache: every reply must be the same, byte for byte
  reference   transformers (reference_server.py), float32, a batch of one: at least 0.95 of its score
"""
import pathlib
import re
import sys

import lm_eval

import harness

HERE = pathlib.Path(__file__).resolve().parent
TASK = "gsm8k_cot_llama"
LEAST_RATIO = 0.95


def evaluate(args, url, task, concurrent, out):
    """(scores, replies by document, seconds) of one run."""
    results, samples, seconds = harness.lm_eval(
        task, args.out / "tasks", args.limit, out, "--model", "local-chat-completions", "--model_args",
        f"model={args.name},base_url={url}/v1/chat/completions,num_concurrent={concurrent},max_retries=1,"
        "tokenized_requests=False,timeout=36000", "--apply_chat_template", "--fewshot_as_multiturn", "--gen_kwargs",
        "temperature=0")
    scores = {key.split(",")[1]: value for key, value in results.items() if re.match(r"exact_match,", key)}
    return scores, {doc: sample["resps"][0][0] for doc, sample in samples.items()}, seconds


def metrics(server):
    pairs = re.findall(r"^tenon:(\w+)(?:{[^}]*})? ([\d.e+-]+)$", harness.get(server.url + "/metrics"), re.M)
    return {name: float(value) for name, value in pairs}


def same(a, b):
    return sum(a[doc] == b.get(doc) for doc in a)


def compare(args, tenon):
    """All runs: (summary, whether it is accepted). `tenon(run, *options)` starts the server."""
    task = TASK
    if args.data:
        stock = pathlib.Path(lm_eval.__file__).parent / "tasks/gsm8k/gsm8k-cot-llama.yaml"
        task = harness.write_task(args.out / "tasks", TASK, stock, args.data)

    with tenon("concurrent") as server:
        scores, replies, seconds = evaluate(args, server.url, task, args.concurrent, args.out / "concurrent")
        seen = metrics(server)
    summary = {"answered": len(replies), "scores": scores, "seconds": seconds,
               "generated_tokens": int(seen["generation_tokens_total"]),
               "cache_hit_rate": round(seen["prefix_cache_hits_total"] / max(1, seen["prefix_cache_queries_total"]), 4)}
    ok = len(replies) == args.limit and None not in replies.values()

    if "alone" not in args.skip:
        with tenon("alone", "--no-enable-prefix-caching") as server:
            _, alone, summary["alone_seconds"] = evaluate(args, server.url, task, 1, args.out / "alone")
        summary["same_alone"] = same(replies, alone)
        ok &= summary["same_alone"] == args.limit

    if "reference" not in args.skip:
        port = harness.free_port()
        drafts = max((args.out / "concurrent").rglob("samples_*.jsonl"))
        command = [sys.executable, HERE / "reference_server.py", args.model, "--port", port, "--drafts", drafts,
                   *args.template]
        with harness.Server(command, port, args.out / "reference.server.log") as server:
            reference_scores, reference, summary["reference_seconds"] = evaluate(
                args, server.url, task, 1, args.out / "reference")
        ratio = {name: round(score / reference_scores[name], 4) if reference_scores[name] else None
                 for name, score in scores.items()}
        summary |= {"reference_scores": reference_scores, "same_as_reference": same(replies, reference), "ratio": ratio}
        ok &= all(value is None or value >= LEAST_RATIO for value in ratio.values())
    return summary, ok
