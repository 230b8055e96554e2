"""Do writing and judging go on at the same time? Each alone, both together, in turns.

`python -m benchmarks.overlap` times three commands on tasks of its own: `eval --generate-only`, `eval --samples RUN` of
what that wrote, and the whole `eval`. A time in brackets is that of the command, from its start to its end; the one
before it begins when model and sandbox are open (run.json is written then) and ends with the last record. The whole
should take hardly longer than the longer of the two: the last column is that ratio without the opening, and in brackets
with it, for the whole opens both. The last line has the medians.

The model is a server here that waits before each answer, and the programs sleep, so that both take time by the clock
and little of the processor's: what is measured is how the harness arranges the two, not how they share cores. No
program is like another. With --model, a model of the backend hf writes instead, and the samples are whatever it says
on --tasks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from benchmarks.measuring import harness, measure

NAME = "slow"
AT_ONCE = 2
_numbers = count()


class _Handler(BaseHTTPRequestHandler):
    """OpenAI's completions, as far as the harness asks: every answer is a body that is right, and like no other."""

    protocol_version = "HTTP/1.1"
    seconds = 0.0
    naps = 0.0

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": NAME, "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.seconds)
        text = f"    import time; time.sleep({self.naps})\n    return x  # {next(_numbers)}\n"
        choice = {"index": 0, "text": text, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 20, "total_tokens": 25}
        self._send({"id": "c", "object": "text_completion", "model": NAME, "choices": [choice], "usage": usage})

    def _send(self, content: object) -> None:
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on standard error."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving(seconds: float, naps: float) -> Iterator[str]:
    """Serve on a free port, each answer after so many seconds; its programs sleep for so many."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"seconds": seconds, "naps": naps}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_tasks(path: Path, tasks: int) -> None:
    """Write tasks that `return x` solves."""
    with path.open("w") as file:
        for number in range(tasks):
            test = f"def check(candidate):\n    assert candidate({number}) == {number}\n"
            row = {"task_id": f"Own/{number}", "prompt": f"def f{number}(x):\n", "entry_point": f"f{number}"}
            file.write(json.dumps(row | {"test": test, "canonical_solution": "    return x\n"}) + "\n")


def stages_took(run: Path, last: str) -> float:
    """Return the seconds from when a run was opened to the last record in that file."""
    return (run / last).stat().st_mtime - (run / "run.json").stat().st_mtime


def rounds(words: list[str], judging: list[str], tasks: str, number: int) -> list[tuple[float, float]]:
    """Time the three commands `number` times; print a line for each round and return the ratios: stages, commands."""
    ratios = []
    for one in range(1, number + 1):
        with tempfile.TemporaryDirectory() as folder:
            whole = harness("eval", *words, *judging, "--tasks", tasks, "--out", f"{folder}/whole")
            written = harness("eval", *words, "--tasks", tasks, "--out", f"{folder}/written", "--generate-only")
            judged = harness(
                *("eval", "--samples", f"{folder}/written", *judging, "--tasks", tasks, "--out", f"{folder}/judged")
            )
            order = {"written": written, "judged": judged, "whole": whole}
            if one % 2 == 0:
                order = {"whole": whole, "written": written, "judged": judged}
            commands = {name: measure(command).wall_seconds for name, command in order.items()}
            ends = {"written": "samples.jsonl", "judged": "report.json", "whole": "report.json"}
            stages = {name: stages_took(Path(folder) / name, last) for name, last in ends.items()}
        stage, command = (each["whole"] / max(each["written"], each["judged"]) for each in (stages, commands))
        ratios.append((stage, command))
        times = " | ".join(f"{stages[name]:.1f} ({commands[name]:.1f})" for name in ends)
        print(f"| {one} | {times} | {stage:.3f} ({command:.3f}) |", flush=True)
    return ratios


def main() -> None:
    """Time and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=100, help="of the server's model")
    parser.add_argument("--delay", type=float, default=0.8, help="seconds before each of its answers")
    parser.add_argument("--naps", type=float, default=0.4, help="seconds that a call of its programs sleeps")
    parser.add_argument("--model", help="a checkpoint for hf, in the place of the server")
    parser.add_argument("--tasks", default="humaneval", help="what that model is asked")
    parser.add_argument("--limit", type=int, default=40, help="the first of those tasks")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sandbox", default="docker")
    options = parser.parse_args()
    judging = ["--sandbox", options.sandbox, "--workers", str(options.workers)]
    print("| round | writing alone, s | judging alone, s | both, s | both by the longer |\n|---|---|---|---|---|")
    if options.model:
        words = ["--model", options.model, "--limit", str(options.limit), "--greedy"]
        words += ["--max-new-tokens", str(options.max_new_tokens)]
        ratios = rounds(words, judging, options.tasks, options.rounds)
    else:
        with serving(options.delay, options.naps) as address, tempfile.TemporaryDirectory() as folder:
            write_tasks(Path(folder) / "tasks.jsonl", options.samples)
            words = ["--model", NAME, "--backend", "openai", "--base-url", address, "--batch-size", str(AT_ONCE)]
            ratios = rounds(words, judging, f"{folder}/tasks.jsonl", options.rounds)
    stage, command = (statistics.median(each) for each in zip(*ratios, strict=True))
    print(f"medians: both take {stage:.3f} times the longer of the two, {command:.3f} with the opening")


if __name__ == "__main__":
    main()
