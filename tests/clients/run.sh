#!/usr/bin/env bash
# Public clients against a server of the tiny model: run.sh TENON. Exit status 77: skipped, saying why.
# What they need from PyPI and npm is installed once, outside of the tree.
set -euo pipefail
tenon=$1
here=$(cd "$(dirname "$0")" && pwd)
digest=$(cat "$here/requirements.txt" "$here/package.json" | sha256sum | cut -c1-16)
home=${XDG_CACHE_HOME:-$HOME/.cache}/tenon/clients-$digest
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT

skip() { echo "skipped: $1"; exit 77; }

mkdir -p "$home"
if [ ! -e "$home/python.done" ]; then
  python3 -m venv "$home/venv" >"$work/log" 2>&1 || skip "python3 has no venv module (apt install python3-venv)"
  "$home/venv/bin/pip" install -q --timeout 20 --retries 1 -r "$here/requirements.txt" >"$work/log" 2>&1 ||
    { tail -3 "$work/log"; skip "PyPI cannot be reached"; }
  touch "$home/python.done"
fi
node=none
if command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]; then
  node=ready
  if [ ! -e "$home/node.done" ]; then
    cp "$here/package.json" "$home"
    if (cd "$home" && npm install --no-audit --no-fund --loglevel error >"$work/log" 2>&1); then
      touch "$home/node.done"
    else
      tail -3 "$work/log"
      node=failed
    fi
  fi
fi

cp -r "$here/../data/stories260K" "$work/model"
printf '%s' "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}" >"$work/model/chat_template.jinja"
"$tenon" serve --model "$work/model" --served-model-name tiny --port 0 --api-key secret --tool-call-parser hermes \
  >"$work/out" 2>"$work/err" &
server=$!
for _ in $(seq 100); do
  grep -q '^Serving' "$work/out" && break
  kill -0 "$server" 2>/dev/null || { cat "$work/err"; exit 1; }
  sleep 0.1
done
url=$(sed -n 's#^Serving .* at \(http://.*\)$#\1/v1#p' "$work/out")

"$home/venv/bin/python" "$here/openai_python.py" "$url"
case $node in
  ready) cp "$here/clients.mjs" "$home" && (cd "$home" && node clients.mjs "$url") ;;
  none) echo "skipped: openai-node, Vercel AI SDK, LangChain JS: there is no node of version 20 or later with npm" ;;
  failed) echo "skipped: openai-node, Vercel AI SDK, LangChain JS: the npm registry cannot be reached" ;;
esac
kill -0 "$server" || { cat "$work/err"; exit 1; }
