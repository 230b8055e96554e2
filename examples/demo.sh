#!/bin/sh
# The product in three commands: grade what is right, grade what is broken, look at why. Takes less than a minute.
#   OUT=some/folder sh examples/demo.sh     to say where the run folders go; the same OUT again resumes
set -eu
cd "$(dirname "$0")/.."

if [ -z "${OUT:-}" ]; then
    mkdir -p runs
    OUT=$(mktemp -d "runs/demo-$(date +%Y%m%d-%H%M%S)-XXXXXX")
fi

heading() { printf '\n=== %s\n\n' "$*"; }

# Show the command as a reader would type it, then run it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

heading "1. HumanEval's own solutions: every one must pass"
run harness eval --model canonical --tasks humaneval --sandbox auto --out "$OUT/canonical"

heading "2. Six completions, five of them broken, one of those by leaving with exit code 0"
run harness eval --samples examples/broken_samples.jsonl --tasks humaneval --partial --sandbox auto --out "$OUT/broken"

heading "3. Why they failed"
run harness show "$OUT/broken"

heading "The run folders are in $OUT"
