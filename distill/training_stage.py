"""The stage of a round that trains: on its lessons or those of all rounds, the last student or the loop's first."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from distill.fitting import keep_adapter
from distill.lesson_stage import DECONTAMINATION, LESSONS
from distill.lessons import Lesson, read_lessons
from distill.round_runs import ANSWERS, RoundRuns
from distill.scratch import save
from distill.selection import LearntFrom, LessonsOf
from distill.study import study
from harness import StoreMismatch, digest_of, find_checkpoint, load_run, load_weights

CONTAMINATION, TRAINING, CHECKPOINT = "contamination.json", "training", "checkpoint"
PROMPTS = "prompts.jsonl"  # of a run


def trained(runs: RoundRuns, measured: str) -> dict[str, int]:
    """Train a student and save it as the round's checkpoint; return what was counted.

    `measured` is the digest of the round's student when it was evaluated; the loop's first one has its own from the
    first round. Raises StoreMismatch where the student's files are others by now.
    """
    config, name = runs.config, runs.student
    if config.between_rounds.train is LearntFrom.FIRST:
        name, measured = config.student, load_run(runs.folder.parent / "01" / "student").config.model_digest
    folder = find_checkpoint(name).folder
    if digest_of(folder) != measured:
        raise StoreMismatch(
            f"{name} is another model than the one that was evaluated, so nothing was trained: put that one back, or "
            "begin another loop with --out"
        )
    lessons = [lesson for path in _lesson_files(runs) for lesson in read_lessons(path)]
    loaded = load_weights(str(folder), name, dtype=config.training.dtype, device="auto", trust=False)
    if config.training.seed is None:
        training = msgspec.structs.replace(config.training, seed=runs.seed)
        config = msgspec.structs.replace(config, training=training)
    asked = _asked_texts(runs) if config.logits and config.logits.teacher_prompt else None
    result = study(loaded.model, loaded.tokenizer, lessons, config, runs.folder / TRAINING, asked)
    checkpoint = runs.folder / CHECKPOINT
    save(loaded.model, loaded.tokenizer, checkpoint, config.save_as)
    keep_adapter(runs.folder / TRAINING, checkpoint)
    (checkpoint / "distill.json").write_bytes(json_of({"parent": name, "parent_digest": measured} | _origin(runs)))
    return {"steps": result.steps, "tokens": result.tokens, "lessons": len(lessons)}


def earlier_lessons(runs: RoundRuns) -> list[Lesson]:
    """Return the lessons of the rounds before."""
    return [lesson for path in runs.earlier(LESSONS) for lesson in read_lessons(path)]


def _lesson_files(runs: RoundRuns) -> list[Path]:
    earlier = runs.earlier(LESSONS) if runs.config.between_rounds.lessons is LessonsOf.ALL else []
    return [*earlier, runs.folder / LESSONS]


def _asked_texts(runs: RoundRuns) -> dict[str, str]:
    """Return the texts that the teacher was asked, in this round and those before, by task."""
    paths = [*runs.earlier(ANSWERS), runs.folder / ANSWERS]
    lines = (line for path in paths for line in (path / PROMPTS).read_bytes().splitlines())
    return {row["task_id"]: row["text"] for row in map(json.loads, lines)}


def _origin(runs: RoundRuns) -> dict[str, Any]:
    """Return what a checkpoint was made of: its lessons, and what was found of test sets in the round's own."""
    lessons = b"".join(path.read_bytes() for path in _lesson_files(runs))
    contamination = json.loads((runs.folder / CONTAMINATION).read_bytes())
    contamination["lessons"] = json.loads((runs.folder / DECONTAMINATION).read_bytes())
    return {"lessons_digest": hashlib.sha256(lessons).hexdigest(), "contamination": contamination}


def json_of(record: object) -> bytes:
    """Return JSON in ASCII, since what others wrote may hold half a surrogate pair."""
    return json.dumps(msgspec.to_builtins(record), indent=2).encode("ascii")
