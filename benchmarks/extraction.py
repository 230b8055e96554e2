"""Is EvalPlus's sanitizer here the same as EvalPlus's own, and how long do both take?

`python -m benchmarks.extraction --evalplus-python PYTHON` gives both the CodeGen samples of $HARNESS_DATA behind their
prompts, and the same samples changed: in prose, cut off, with lines lost, moved and added. It prints a Markdown table
of how many results differ, and ends with 1 if any do. EvalPlus may live in an environment of its own. `--every N` takes
every Nth sample alone; `--prose N` has N lines of prose as one more text.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.benchmarks import load_benchmark
from harness.extraction.evalplus import sanitize

SAMPLES = "codegen16b_humaneval_first20.jsonl.gz"
_THEIRS = """
import json, sys, time
from evalplus.sanitize import sanitize
for line in sys.stdin:
    text, entry_point = json.loads(line)
    started = time.perf_counter()
    program = sanitize(text, entry_point)
    print(json.dumps([program, time.perf_counter() - started]))
"""
_LINES = (
    "Note that this is it:",
    "```",
    "# note",
    "    # note",
    "x = 1",
    "import os",
    "@cache",
    "'''",
    '"""',
    "(",
    ")",
)
_MORE_LINES = ("from __future__ import annotations", "    return", "def g(): return 1", "class A:", "    pass", "y = x")
_TESTS = "\n\nif __name__ == '__main__':\n    import doctest\n    doctest.testmod()\n\nassert True\nprint(candidate)\n"
_SENTENCE = "It is a truth universally acknowledged, that a line in want of code.\n"
PROSE = "nothing but prose"
Change = Callable[[str, str, random.Random], str]  # of a prompt and a completion


@dataclass(frozen=True, slots=True)
class Text:
    """A text to sanitize."""

    change: str
    text: str
    entry_point: str


def mutilated(prompt: str, completion: str, chance: random.Random) -> str:
    """Return the program with one to three lines lost, added, cut, indented otherwise or exchanged."""
    lines = (prompt + completion).split("\n")
    for _ in range(chance.randint(1, 3)):
        place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        line = lines[place]
        match chance.randrange(5):
            case 0:
                lines[place : place + 1] = [] if len(lines) > 1 else [""]
            case 1:
                lines.insert(place, chance.choice((*_LINES, *_MORE_LINES)))
            case 2:
                lines[place] = line[: chance.randint(0, len(line))]
            case 3:
                lines[place] = " " * chance.randint(0, 6) + line.lstrip()
            case 4:
                lines[place], lines[other] = lines[other], line
    return "\n".join(lines)


def in_prose(prompt: str, completion: str, chance: random.Random) -> str:
    """Return the program as a chat model may answer with it, with a second block behind it."""
    return (
        f"Here is the code:\n\n```python\n{prompt}{completion}\n```\n\n"
        "It's a function that doesn't fail. You can call it:\n\n```python\nprint(1)\n```\n"
    )


CHANGES: dict[str, Change] = {
    "behind its prompt": lambda prompt, completion, chance: prompt + completion,
    "in prose": in_prose,
    "cut off somewhere": lambda prompt, completion, chance: prompt + completion[: chance.randint(0, len(completion))],
    "mutilated": mutilated,
    "without its prompt": lambda prompt, completion, chance: completion,
    "twice": lambda prompt, completion, chance: f"{prompt}{completion}\n\n\n{prompt}{completion}",
    "with CR-LF": lambda prompt, completion, chance: (prompt + completion).replace("\n", "\r\n"),
    "with tests behind it": lambda prompt, completion, chance: prompt + completion + _TESTS,
}


def texts(path: Path, every: int) -> list[Text]:
    """Return the texts of all changes, of every so-manieth sample."""
    chance = random.Random(0)
    tasks = {task.task_id: task for task in load_benchmark("humaneval").tasks}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        samples = [json.loads(line) for line in file][::every]
    return [
        Text(
            change=name,
            text=change(tasks[one["task_id"]].prompt.strip() + "\n", one["completion"], chance),
            entry_point=tasks[one["task_id"]].entry_point,
        )
        for name, change in CHANGES.items()
        for one in samples
    ]


def ours(found: list[Text]) -> list[tuple[str, float]]:
    """Return the program of each text and the seconds that it took, by our code."""
    results = []
    for one in found:
        started = time.perf_counter()
        program = sanitize(one.text, one.entry_point)
        results.append((program, time.perf_counter() - started))
    return results


def theirs(python: Path, found: list[Text]) -> list[tuple[str, float]]:
    """Return the same by EvalPlus's."""
    lines = "".join(json.dumps([one.text, one.entry_point]) + "\n" for one in found)
    ran = subprocess.run([python, "-c", _THEIRS], input=lines, stdout=subprocess.PIPE, text=True, check=True)
    return [(program, seconds) for program, seconds in map(json.loads, ran.stdout.splitlines())]


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--evalplus-python", type=Path, required=True, help="the python of an environment with evalplus"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth sample")
    parser.add_argument("--prose", type=int, default=0, metavar="N", help="add a text of N lines of prose")
    options = parser.parse_args()
    found = texts(Path(os.environ["HARNESS_DATA"]) / SAMPLES, options.every)
    found += [Text(change=PROSE, text=_SENTENCE * options.prose, entry_point="f")] * (options.prose > 0)
    pairs = list(zip(found, ours(found), theirs(options.evalplus_python, found), strict=True))
    print("| samples | texts | results that differ | harness: mean, longest | EvalPlus: mean, longest |")
    print("|---|---|---|---|---|")
    differing = 0
    for name in [*CHANGES, *([PROSE] if options.prose else [])]:
        chosen = [(mine, other) for one, mine, other in pairs if one.change == name]
        differ = sum(mine[0] != other[0] for mine, other in chosen)
        differing += differ
        print(f"| {name} | {len(chosen):,} | {differ} | {_shown(chosen, 0)} | {_shown(chosen, 1)} |")
    sys.exit(differing > 0)


def _shown(chosen: list[tuple[tuple[str, float], tuple[str, float]]], side: int) -> str:
    seconds = [pair[side][1] for pair in chosen]
    return f"{sum(seconds) / len(seconds) * 1000:.1f} ms, {max(seconds) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
