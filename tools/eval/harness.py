"""Servers in processes of their own, and runs of lm-eval."""
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


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


def write_task(folder, name, stock, data):
    """The task in the file `stock`, on a file of questions in place of the hub's dataset; its name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"include: {stock}\ntask: {name}_file\ndataset_path: json\n"
                                         f"dataset_name: null\ndataset_kwargs:\n  data_files:\n"
                                         f"    test: {data.resolve()}\n")
    return f"{name}_file"


def lm_eval(task, include, limit, out, *more):
    """Runs lm-eval with `more` arguments, its log in `out`.log; (scores by metric and filter, samples, seconds)."""
    command = [sys.executable, "-m", "lm_eval", "--tasks", task, "--include_path", include, "--limit", limit, "--seed",
               "42", "--log_samples", "--output_path", out, *more]
    environment = {**os.environ, "OPENAI_API_KEY": "none"}
    begin = time.time()
    with open(str(out) + ".log", "w") as log:
        status = subprocess.run([str(c) for c in command], stdout=log, stderr=log, env=environment).returncode
    seconds = time.time() - begin
    if status:
        sys.exit(f"lm-eval failed: see {out}.log")
    results = json.loads(max(out.rglob("results_*.json")).read_text())["results"][task]
    # One line a document and filter; what the model answered is the same in all of them.
    lines = max(out.rglob("samples_*.jsonl")).read_text().splitlines()
    return results, {sample["doc_id"]: sample for sample in map(json.loads, lines)}, round(seconds, 1)
