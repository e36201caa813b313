#!/bin/bash
# installed_serve.sh TENON MODEL PLUGIN: serves the model by the plug-in, and asks for eight tokens.
set -eu
log=$(mktemp)
"$1" serve --model "$2" --served-model-name tiny --custom-architectures "$3" --port 0 --threads 1 > "$log" 2>&1 &
server=$!
trap 'kill $server; rm -f "$log"' EXIT
port=
for _ in $(seq 600); do
  port=$(sed -n 's|.*Serving tiny at http://127\.0\.0\.1:\([0-9]*\).*|\1|p' "$log")
  if [ -n "$port" ] || ! kill -0 $server 2> /dev/null; then break; fi
  sleep 0.1
done
if [ -z "$port" ]; then
  cat "$log"
  exit 1
fi
curl --silent --show-error --fail --max-time 60 "http://127.0.0.1:$port/v1/completions" \
  --json '{"model": "tiny", "prompt": "Once upon a time", "max_tokens": 8}'
