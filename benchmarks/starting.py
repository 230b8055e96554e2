"""How soon there is an answer: the first verdict of `harness eval`, and `harness --help`.

`python -m benchmarks.starting` types the command, as it were, and waits for the first whole line of verdicts.jsonl
(containers started, self-check passed, one sample judged); then for the end of `--help`. Best and median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import harness

_LOOK_SECONDS = 0.002


def first_verdict(sandbox: str, out: Path) -> float:
    """Return the seconds from starting the command to its first verdict on disk."""
    command = harness("eval", "--model", "canonical", "--tasks", "humaneval", "--sandbox", sandbox, "--out", str(out))
    path = out / "verdicts.jsonl"
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while not (path.exists() and b"\n" in path.read_bytes()):
            if process.poll() is not None:
                raise SystemExit(process.communicate()[1].decode())
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - start
        process.communicate()
    return seconds


def help_page() -> float:
    """Return the seconds that `harness --help` takes."""
    start = time.monotonic()
    subprocess.run(harness("--help"), stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sandbox", default="docker")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = [first_verdict(options.sandbox, Path(folder) / str(number)) for number in range(options.rounds)]
    for name, seconds in (("first verdict", rounds), ("--help", [help_page() for _ in range(options.rounds)])):
        print(f"{name}: best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s of {options.rounds}")


if __name__ == "__main__":
    main()
