#!/bin/sh
# The product, end to end, on models that come with it: evaluate, retrain for the weak tiers, evaluate again, gate, show.
# Minutes on two cores, no GPU.
#   OUT=some/folder sh examples/demo.sh     to say where everything goes; the same OUT again resumes
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

heading "1. A student of a million parameters on the ladder, 240 tasks in four tiers: where is it weak?"
run harness eval --model demo:student --tasks ladder --batch-size 64 --max-new-tokens 200 \
    --out "$OUT/student"

heading "2. One round: the teacher answers training questions of the weak tiers, the student learns the right answers"
run harness distill run --recipe demo --rounds 1 --out "$OUT/loop"

heading "3. The new student on the whole ladder"
run harness show "$OUT/loop/rounds/01/candidate" --failures 1

heading "4. The gate: is it worse anywhere?"
run harness gate "$OUT/loop/rounds/01/candidate" --baseline "$OUT/student"

heading "5. The leaderboard"
run harness leaderboard "$OUT/student" "$OUT/loop/rounds/01/candidate" --out "$OUT/leaderboard" --title "Demo"

heading "Everything is in $OUT; open $OUT/leaderboard/index.html"
