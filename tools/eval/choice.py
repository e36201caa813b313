"""Multiple choice by loglikelihoods: lm-eval's `local-completions` on Tenon beside its own `hf` model.

Both run gsm8k_choice (which of four first steps belongs to the question). Tenon tokenizes for the client
(/tokenize), gets token ids, and gives the prompt's logprobs (/v1/completions with echo); `hf` is transformers in float32
with a batch of one. Neither puts a token for the text's beginning before it.
"""
import pathlib

import harness

TASK = "gsm8k_choice"
TOLERANCE = 0.005  # of the reference's score
STOCK = pathlib.Path(__file__).resolve().parent / TASK


def loglikelihoods(sample):
    """Of each choice, in nats."""
    return [float(value) for ((value, _),) in sample["resps"]]


def best(sample):
    values = loglikelihoods(sample)
    return values.index(max(values))


def scores(results):
    return {metric: results[f"{metric},none"] for metric in ("acc", "acc_norm")}


def compare(args, tenon):
    """Runs both: (summary, whether it is accepted). `tenon(run, *options)` starts the server."""
    include = STOCK
    task = TASK
    if args.data:
        include = args.out / "tasks"
        task = harness.write_task(include, TASK, STOCK / f"{TASK}.yaml", args.data)

    with tenon("choice") as server:
        results, ours, seconds = harness.lm_eval(
            task, include, args.limit, args.out / "choice", "--model", "local-completions", "--model_args",
            f"model={args.name},base_url={server.url}/v1/completions,num_concurrent={args.concurrent},max_retries=1,"
            "tokenizer_backend=remote,timeout=36000")
    summary = {"answered": len(ours), "scores": scores(results), "seconds": seconds}
    ok = len(ours) == args.limit
    if "reference" in args.skip:
        return summary, ok

    where = f"pretrained={args.model}"
    path = pathlib.Path(args.model)
    if path.suffix == ".gguf":
        where = f"pretrained={path.parent},gguf_file={path.name}"
    results, theirs, reference_seconds = harness.lm_eval(
        task, include, args.limit, args.out / "choice_reference", "--model", "hf", "--model_args",
        where + ",dtype=float32,add_bos_token=False", "--device", "cpu", "--batch_size", "1")
    reference = scores(results)
    pairs = [(a, b) for doc in theirs for a, b in zip(loglikelihoods(ours[doc]), loglikelihoods(theirs[doc]))]
    differences = [abs(a - b) for a, b in pairs]
    summary |= {
        "reference_scores": reference, "reference_seconds": reference_seconds,
        "same_choice": sum(best(ours[doc]) == best(theirs[doc]) for doc in theirs),
        "loglikelihoods": len(pairs),
        "within_0.01_nats": sum(d < 0.01 for d in differences), "max_difference_nats": max(differences),
    }
    ok &= all(abs(summary["scores"][metric] - score) <= TOLERANCE * score for metric, score in reference.items())
    return summary, ok
