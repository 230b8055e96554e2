"""GSM8K's own worked solutions as a teacher's stored answers, for `teacher: {samples: FILE}` of a loop.

    python -m benchmarks.worked_answers answers.jsonl

A solution whose marked calculations (`<<48/2=24>>`) compute the label is a program; the others make none. The loop has
the sandbox run each of them, as it does with whatever a teacher wrote.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness import gsm8k_train, write_whole


def main() -> None:
    """Write the answers, and say for how many questions there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the samples file to write")
    out = parser.parse_args().out
    tasks = gsm8k_train().tasks
    solved = [task for task in tasks if task.reference]
    rows = ({"task_id": task.task_id, "completion": task.reference.removeprefix(task.prompt)} for task in solved)
    write_whole(out, "".join(json.dumps(row) + "\n" for row in rows))
    print(f"{out}: {len(solved)} of {len(tasks)} questions ({len(solved) / len(tasks):.1%})")


if __name__ == "__main__":
    main()
