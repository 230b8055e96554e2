"""PERsD (arXiv 2310.18628): a teacher mends the programs that the student got wrong, and the student learns the mended.

Of the paper's two kinds of lesson this is the first, question to mended program; the second, which shows the student
its wrong program as well, is not here.
"""

from __future__ import annotations

from distill.asking import ask, mending_requests, write_asked
from distill.fault_stages import RUNS
from distill.lessons import FaultSource
from distill.round_runs import ANSWERS, QUESTIONS, RoundRuns
from harness import load_run, open_model

TEXTS, MENDED = "mended_texts.jsonl", "mended.jsonl"


def mended(runs: RoundRuns) -> dict[str, int]:
    """Have the teacher mend the student's tries that fail, and judge what it wrote as answers; return the counts."""
    tries = load_run(runs.folder / RUNS[FaultSource.STUDENT])
    requests = mending_requests(tries)
    teacher, texts, path = runs.config.teacher, runs.folder / TEXTS, runs.folder / MENDED
    ask(open_model(teacher.name), requests, runs.asking(teacher.temperature), texts)
    found = write_asked(tries.tasks(), texts, path)
    counts = runs.evaluated(str(runs.folder / QUESTIONS), ANSWERS, stored=path) if found else {}
    return {"samples": 0, **counts, "teacher_calls": len(requests)}
