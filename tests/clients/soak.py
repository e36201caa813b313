#!/usr/bin/env python3
"""A soak: many requests of mixed shape against `tenon serve`, with clients that hang up, deadlines, oversized and
malformed requests. Every request must be answered with the status that its shape calls for, replies must be the same
each time, and at the end no request runs, no page of the KV cache is in use and memory has not grown.

  tests/clients/soak.py TENON MODEL [--requests 20000] [--concurrent 64] [--seed 1]
                        [--machine TEXT] [--out bench/history.jsonl] [-- more arguments of tenon serve]

MODEL is a small one that has a chat template or none; only the standard library is needed. A small KV cache
(`-- --kv-cache-memory 4MiB`) is one whose pages have all been used, and so count as memory, by the time it is warm. --out
appends a line of what was seen: of requests whose client hung up there is no status, and each of the 10,000 that fill the
tokenizer's cache adds one. Exit status 1: a failure, each one said.
"""
import argparse
import asyncio
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import time

WORDS = "once upon a time there was little girl who loved to play with her dog in the park and then".split()
LONG = 5000  # requests from which on memory must not grow: a shorter run is over before it has settled


class Connection:
    """One request on a connection of its own."""

    def __init__(self, port):
        self.port = port

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, body, path="/v1/completions", method="POST", length=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(data) if length is None else length}\r\nConnection: close\r\n\r\n")
        self.writer.write(head.encode() + data)
        await self.writer.drain()

    async def reply(self):
        """(status, body)"""
        raw = await self.reader.read()
        head, _, body = raw.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            out = b""
            while body:
                size, _, body = body.partition(b"\r\n")
                size = int(size, 16)
                out, body = out + body[:size], body[size + 2:]
            body = out
        return int(head.split()[1]), body

    def close(self):
        self.writer.close()


class Soak:
    def __init__(self, port, rng):
        self.port, self.rng = port, rng
        self.seen, self.statuses, self.failures, self.replies = collections.Counter(), collections.Counter(), [], {}

    def prompt(self, most=40):
        return " ".join(self.rng.choice(WORDS) for _ in range(self.rng.randint(1, most)))

    def base(self):
        return {"model": "m", "prompt": self.prompt(), "max_tokens": self.rng.randint(1, 40), "temperature": 0}

    async def ask(self, shape, body, expected, check=None, **how):
        connection = Connection(self.port)
        await connection.open()
        try:
            await connection.send(body, **how)
            status, reply = await asyncio.wait_for(connection.reply(), 120)
        except (OSError, asyncio.TimeoutError, IndexError, ValueError) as error:
            self.failures.append(f"{shape}: {type(error).__name__}: {error}")
            return
        finally:
            connection.close()
        self.statuses[status] += 1
        if status not in expected:
            self.failures.append(f"{shape}: status {status}, not {expected}: {reply[:200]!r}")
        elif check and status == 200 and not check(reply):
            self.failures.append(f"{shape}: wrong reply: {reply[-300:]!r}")

    def same_again(self, body):
        """The reply to a greedy request never changes, whatever else runs."""
        def check(reply):
            text = json.loads(reply)["choices"][0]["text"]
            return self.replies.setdefault(json.dumps(body, sort_keys=True), text) == text
        return check

    async def greedy(self):
        # Few different ones, so that each comes again, from the cache and beside others.
        rng = random.Random(self.rng.randint(0, 200))
        body = {"model": "m", "prompt": " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 150))),
                "max_tokens": rng.randint(1, 40), "temperature": 0}
        await self.ask("greedy", body, {200}, self.same_again(body))

    async def sampled(self):
        body = self.base() | {"temperature": 1.2, "seed": self.rng.randint(0, 50), "top_p": 0.9, "n": 2,
                              "frequency_penalty": 0.5, "logprobs": 2}
        await self.ask("sampled", body, {200}, lambda reply: len(json.loads(reply)["choices"]) == 2)

    async def stream(self):
        await self.ask("stream", self.base() | {"stream": True, "stream_options": {"include_usage": True}}, {200},
                       lambda reply: reply.endswith(b"data: [DONE]\n\n"))

    async def prompts(self):
        body = self.base() | {"prompt": [self.prompt(), self.prompt(5)], "echo": True, "max_tokens": 0, "logprobs": 1}
        await self.ask("prompts", body, {200}, lambda reply: len(json.loads(reply)["choices"]) == 2)

    async def deadline(self):
        # In time or not; never anything else.
        await self.ask("deadline", self.base() | {"timeout": self.rng.choice([0.001, 0.02, 5]), "max_tokens": 100},
                       {200, 504})

    async def hang_up(self):
        connection = Connection(self.port)
        await connection.open()
        try:
            await connection.send(self.base() | {"max_tokens": 200, "ignore_eos": True, "stream": self.rng.random() < .5})
            await asyncio.sleep(self.rng.random() * 0.2)
        except OSError:
            pass
        connection.close()

    async def half_sent(self):
        connection = Connection(self.port)
        await connection.open()
        await connection.send(b'{"model": "m", "pro', length=500)
        await asyncio.sleep(self.rng.random() * 0.1)
        connection.close()

    async def malformed(self):
        bodies = [b"", b"{", b"[]", b"nothing", b'{"model": "m"}', b'{"model": "m", "prompt": 5}',
                  b'{"model": "m", "prompt": "a", "max_tokens": -1}', b'{"model": "m", "prompt": "\xff\xfe"}',
                  b'{"model": "m", "prompt": "a", "temprature": 1}', b'{"model": "m", "prompt": "\\ud800"}',
                  b'{"model": "m", "prompt": "a", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
                  b'{"model": "m", "prompt": [], "max_tokens": 1}', b'{"model": "m", "prompt": [999999999]}',
                  b'{"model": "m", "prompt": "a", "temperature": 1e999}']
        await self.ask("malformed", self.rng.choice(bodies), {400})

    async def unknown(self):
        await self.ask("unknown model", self.base() | {"model": "other"}, {404})
        await self.ask("unknown path", {}, {404}, path="/v1/nothing")

    async def oversized(self):
        if self.rng.random() < 0.05:
            await self.ask("large body", b" " * 100, {413}, length=1 << 30)
        else:
            await self.ask("long prompt", self.base() | {"prompt": "word " * 20000}, {400})

    async def tokenize(self, number):
        text = f"{number} " + " ".join(WORDS[number % 7:])
        await self.ask("tokenize", {"model": "m", "prompt": text}, {200}, path="/tokenize")

    async def one(self):
        shapes = {self.greedy: 40, self.sampled: 10, self.stream: 15, self.prompts: 8, self.deadline: 8,
                  self.hang_up: 8, self.half_sent: 3, self.malformed: 5, self.unknown: 2, self.oversized: 1}
        shape = self.rng.choices(list(shapes), list(shapes.values()))[0]
        self.seen[shape.__name__] += 1
        await shape()


def resident_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


async def metrics(port):
    connection = Connection(port)
    await connection.open()
    await connection.send(b"", "/metrics", "GET")
    _, body = await connection.reply()
    return {name: float(value) for name, value in
            re.findall(r"^tenon:(\w+)(?:{[^}]*})? ([\d.e+-]+)$", body.decode(), re.M)}


async def run(args, port, pid):
    soak, left = Soak(port, random.Random(args.seed)), 0

    async def worker():
        nonlocal left
        while left > 0:
            left -= 1
            await soak.one()

    # Memory is measured from where all that is bounded has found its size: the allocator's arenas, the pages, and the
    # tokenizer's cache of 10,000 pieces, which of a tokenizer that does not split texts are whole prompts.
    left = args.requests // 5
    await asyncio.gather(*(worker() for _ in range(args.concurrent)))
    if args.requests >= LONG:
        for first in range(0, 10000, args.concurrent):
            await asyncio.gather(*(soak.tokenize(first + i) for i in range(args.concurrent)))
    resident, left = resident_mib(pid), args.requests - args.requests // 5
    await asyncio.gather(*(worker() for _ in range(args.concurrent)))
    for _ in range(100):  # what was hung up on ends within a step
        state = await metrics(port)
        if state["num_requests_running"] == 0 and state["num_requests_waiting"] == 0:
            break
        await asyncio.sleep(0.1)
    now = resident_mib(pid)
    grown = now - resident
    print(dict(soak.seen))
    print(f"resident {resident:.0f} MiB when warm, {grown:+.1f} MiB since; KV cache in use "
          f"{state['kv_cache_usage_perc']}; preemptions {state['num_preemptions_total']:.0f}; cache hits "
          f"{state['prefix_cache_hits_total'] / max(1, state['prefix_cache_queries_total']):.2f}")
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        if state[name] != 0:
            soak.failures.append(f"{name} is {state[name]} at the end")
    if args.requests >= LONG and grown > max(8, resident / 20):
        soak.failures.append(f"memory grew by {grown:.1f} MiB")
    return soak.failures, {
        "shapes": dict(soak.seen.most_common()), "statuses": {str(s): n for s, n in sorted(soak.statuses.items())},
        "rss_mib": {"warm": round(resident, 1), "end": round(now, 1)},
        "kv_cache_usage": state["kv_cache_usage_perc"], "preemptions": int(state["num_preemptions_total"]),
        "cancelled": int(state["requests_cancelled_total"]), "timed_out": int(state["requests_timed_out_total"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tenon")
    parser.add_argument("model")
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--concurrent", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--machine", default="")
    parser.add_argument("--out")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    args.serve = sys.argv[split + 1:]
    server = subprocess.Popen([args.tenon, "serve", args.model, "--served-model-name", "m", "--port", "0", *args.serve],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = next(line for line in server.stdout if line.startswith("Serving"))
        port = int(line.rsplit(":", 1)[1])
        begin = time.time()
        failures, seen = asyncio.run(run(args, port, server.pid))
        seconds = time.time() - begin
        if server.poll() is not None:
            failures.append(f"the server ended with {server.returncode}")
        server.terminate()
        if (status := server.wait(60)) != 0:
            failures.append(f"the server ended with {status} after SIGTERM")
    finally:
        server.kill()
    for failure, count in collections.Counter(failures).most_common(20):
        print(f"FAILED x{count}: {failure}")
    print(f"{args.requests} requests in {seconds:.0f} s, {len(failures)} failures")
    if args.out:
        line = {"date": time.strftime("%Y-%m-%d"), "kind": "soak", "model": pathlib.Path(args.model).name,
                "serve": args.serve, "machine": args.machine, "requests": args.requests, "concurrent": args.concurrent,
                "seconds": round(seconds, 1), "failures": len(failures), **seen}
        with open(args.out, "a") as history:
            history.write(json.dumps(line) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
