"""Times of streamed text completions, with prompts as token ids of text that /tokenize made. Standard library only."""
import http.client
import json
import random
import re
import statistics
import threading
import time
import urllib.parse
import urllib.request

import harness


def post(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=3600) as reply:
        return json.loads(reply.read())


def prompt_ids(url, name, length, seed):
    """`length` ids of made-up sentences; other seeds differ from their first words on."""
    draw = random.Random(seed)
    words = ["".join(draw.choice("aeioubcdfghlmnprst") for _ in range(draw.randint(2, 8))) for _ in range(length)]
    ids = post(url, "/tokenize", {"model": name, "prompt": " ".join(words), "add_special_tokens": False})["tokens"]
    if len(ids) < length:
        raise ValueError(f"/tokenize made {len(ids)} tokens of {length} words")
    return ids[:length]


def events(url, body):
    """The parsed events of a streamed completion, as they arrive."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=3600)
    connection.request("POST", "/v1/completions", json.dumps({**body, "stream": True}),
                       {"Content-Type": "application/json"})
    reply = connection.getresponse()
    if reply.status != 200:
        raise RuntimeError(f"/v1/completions answered {reply.status}: {reply.read().decode()}")
    try:
        for line in reply:
            if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
                yield json.loads(line[6:])
    finally:
        connection.close()


def time_to_first_token(url, name, ids):
    """Seconds to the first event of a reply of one token."""
    begin = time.perf_counter()
    for event in events(url, {"model": name, "prompt": ids, "max_tokens": 1, "temperature": 0, "ignore_eos": True}):
        if "error" in event:
            raise RuntimeError(str(event["error"]))
        return time.perf_counter() - begin
    raise RuntimeError("the stream had no event")


def shared_prefix(url, name, shared=1200, own=32, rounds=5):
    """Medians over prompts of `shared` tokens that two requests begin with, and `own` tokens that differ."""
    time_to_first_token(url, name, prompt_ids(url, name, 64, "warm-up"))
    first, second = [], []
    for n in range(rounds):
        prefix = prompt_ids(url, name, shared, f"prefix {n}")
        first.append(time_to_first_token(url, name, prefix + prompt_ids(url, name, own, f"first {n}")))
        second.append(time_to_first_token(url, name, prefix + prompt_ids(url, name, own, f"second {n}")))
    return {"shared_tokens": shared, "own_tokens": own, "rounds": rounds,
            "first_ttft_ms": round(1000 * statistics.median(first), 1),
            "second_ttft_ms": round(1000 * statistics.median(second), 1),
            "ratio": round(statistics.median(b / a for a, b in zip(first, second)), 4)}


def generated(url):
    """Tokens that the server has generated since its start."""
    return float(re.search(r"^tenon:generation_tokens_total(?:{[^}]*})? ([\d.e+-]+)$", harness.get(url + "/metrics"),
                           re.M)[1])


def decode_rate(url, name, users, tokens, prompt_tokens=16):
    """Tokens/s of all replies, from when each of them has its first token to when the first one ends."""
    prompts = [prompt_ids(url, name, prompt_tokens, f"user {n}") for n in range(users)]
    started, ended, errors = threading.Semaphore(0), threading.Event(), []

    def run(ids):
        body = {"model": name, "prompt": ids, "max_tokens": tokens, "ignore_eos": True, "temperature": 0}
        try:
            for i, _ in enumerate(events(url, body)):
                if i == 0:
                    started.release()
            ended.set()
        except Exception as error:
            errors.append(error)
            started.release()
            ended.set()

    threads = [threading.Thread(target=run, args=(ids,)) for ids in prompts]
    for thread in threads:
        thread.start()
    for _ in threads:
        started.acquire()
    begin, first = time.perf_counter(), generated(url)
    # The window ends well before the first reply does, wherever the threads' own delays put its end.
    rate = None
    while not ended.wait(0.5):
        now, count = time.perf_counter(), generated(url)
        if now - begin >= 1:
            rate = (count - first) / (now - begin)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    if rate is None:
        raise RuntimeError(f"replies of {tokens} tokens end within a second: ask for longer ones")
    return rate
