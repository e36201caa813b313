#!/usr/bin/env python3
"""transformers behind POST /v1/chat/completions, for the reference score of an evaluation: the same harness, prompts,
stop strings and filters as Tenon's run, so that only the model's arithmetic differs.

  tools/eval/reference_server.py MODEL [--port 8100] [--dtype float32] [--threads N] [--chat-template FILE]

One request at a time, a batch of one, greedy (a temperature other than 0 is refused). Only what the harness sends is
understood: messages, max_tokens, stop, temperature, seed. The keys and values of the prompt's longest prefix that the
request before had too are kept, as they do not depend on what follows.
"""
import argparse
import http.server
import json
import pathlib
import threading

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache


def guess_next(reply, draft, longest=3, most=64):
    """What follows in `draft` after the last tokens of `reply`: a guess, which need not be right."""
    for length in range(min(longest, len(reply)), 0, -1):
        tail = reply[-length:]
        for start in range(len(draft) - length + 1):
            if draft[start : start + length] == tail:
                return draft[start + length : start + length + most]
    return []


def load_drafts(path):
    """Messages -> reply, of a harness's log of samples."""
    drafts = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        messages = json.loads(sample["arguments"]["gen_args_0"]["arg_0"][0])
        drafts[json.dumps(messages, sort_keys=True)] = sample["resps"][0][0]
    return drafts


class Reference:
    def __init__(self, model, dtype, chat_template, drafts):
        self.drafts = load_drafts(drafts) if drafts else {}
        path = pathlib.Path(model)
        where = dict(pretrained_model_name_or_path=model)
        if path.suffix == ".gguf":
            where = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
        self.tokenizer = AutoTokenizer.from_pretrained(**where)
        self.model = AutoModelForCausalLM.from_pretrained(**where, dtype=getattr(torch, dtype)).eval()
        eos = self.model.generation_config.eos_token_id
        self.eos = set(eos if isinstance(eos, list) else [eos]) | {self.tokenizer.eos_token_id}
        if chat_template:
            self.tokenizer.chat_template = pathlib.Path(chat_template).read_text(encoding="utf-8")
        # Without a config its layers keep all positions, those with a sliding window too (the mask hides them), so
        # that it can be cut back to any length.
        self.ids, self.cache = [], DynamicCache()

    def prefill(self, ids):
        """Logits after the last of `ids`."""
        common = 0
        while common < min(len(ids) - 1, len(self.ids)) and ids[common] == self.ids[common]:
            common += 1
        surplus = self.cache.get_seq_length() - common
        if surplus:
            self.cache.crop(-surplus)
        self.ids = list(ids)
        return self.forward(ids[common:], common)

    def forward(self, ids, start, keep=1):
        """Logits after the last `keep` of `ids`, which stand at position `start` and after."""
        positions = torch.arange(start, start + len(ids)).unsqueeze(0)
        return self.model(torch.tensor([ids]), past_key_values=self.cache, position_ids=positions, use_cache=True,
                          logits_to_keep=keep).logits[0, -keep:]

    @torch.inference_mode()
    def chat(self, messages, max_tokens, stop):
        """(reply, finish reason, prompt tokens, reply tokens)"""
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        draft = self.draft_ids(messages)
        reply, ready = [], [int(self.prefill(ids)[-1].argmax())]
        while True:
            for token in ready:
                if token in self.eos:
                    return self.decode(reply), "stop", len(ids), len(reply) + 1
                reply.append(token)
                text = self.decode(reply)
                found = [text.find(s) for s in stop if s in text]
                if found:
                    return text[: min(found)], "stop", len(ids), len(reply)
                if len(reply) == max_tokens:
                    return text, "length", len(ids), len(reply)
            # The model's own choice after each of the last token and a guess of what follows; those up to the first
            # wrong guess are what it would have chosen token by token.
            start = len(ids) + len(reply) - 1
            guess = guess_next(reply, draft)
            best = self.forward([reply[-1], *guess], start, len(guess) + 1).argmax(-1).tolist()
            right = next((i for i, token in enumerate(guess) if token != best[i]), len(guess))
            if right < len(guess):
                self.cache.crop(right - len(guess))
            self.ids += [reply[-1], *guess[:right]]
            ready = best[: right + 1]

    def draft_ids(self, messages):
        draft = self.drafts.get(json.dumps(messages, sort_keys=True))
        return self.tokenizer(draft, add_special_tokens=False).input_ids if draft else []

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def handler(reference, name, lock):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(200, {"status": "ok"})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/chat/completions" or body.get("temperature", 1) != 0:
                self.answer(400, {"error": {"message": "only greedy /v1/chat/completions"}})
                return
            with lock:
                reply, finish, prompt, completion = reference.chat(body["messages"], body.get("max_tokens", 256),
                                                                  [s for s in body.get("stop") or [] if s])
            self.answer(200, {"id": "reference", "object": "chat.completion", "model": name, "choices": [
                {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": reply}}],
                "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                          "total_tokens": prompt + completion}})

        def log_message(self, *_):
            pass

    return Handler


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--drafts", help="samples_*.jsonl of another run of the same task")
    parser.add_argument("--chat-template", help="a file; default: the tokenizer's own")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    reference = Reference(args.model, args.dtype, args.chat_template, args.drafts)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", args.port),
                                             handler(reference, args.model, threading.Lock()))
    print(f"serving {args.model} ({args.dtype}) on 127.0.0.1:{args.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
