"""One round of the loop, stage by stage, in its folder `rounds/NN`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from distill.curriculum import Stage
from distill.decontaminate import decontaminate
from distill.keep import Decision, decide
from distill.lessons import LeakageError, Lesson, read_lessons, write_lessons
from distill.loop import Journal, LoopConfig, Machine
from distill.questions import choose, write_tasks
from distill.rows import rows_of
from distill.scratch import save
from distill.texts import text_of_lesson
from distill.training import train
from harness import (
    Decoding,
    EvalConfig,
    Report,
    Run,
    StopReason,
    Task,
    UsageError,
    digest_of,
    evaluate,
    find_checkpoint,
    load_benchmark,
    load_run,
    load_weights,
    rules_for,
)

QUESTIONS, LESSONS, CONTAMINATION = "questions.jsonl", "lessons.jsonl", "contamination.json"
DECONTAMINATION = "decontamination.json"


class Round:
    """One round. `student` is what `--model` takes."""

    def __init__(self, config: LoopConfig, folder: Path, number: int, student: str, machine: Machine) -> None:
        self._config = config
        self._folder = folder
        self._number = number
        self._student = student
        self._machine = machine
        self._seed = config.seed * 1000 + number
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = Journal(folder)

    def play(self, measured: Path | None) -> Decision:
        """Go through the stages that are not done yet; `measured` is the student's run, where there is one already.

        The rounds of a loop draw different questions. Raises UsageError when no answer of the teacher's is right.
        """
        if measured is None:
            measured = self._folder / "student"
            self._once("evaluate", lambda: self._evaluated(self._student, self._config.tasks, "student"))
        before = load_run(measured)
        weak, other = flagged(before.report)
        if not weak:
            return Decision(
                round=self._number,
                kept=False,
                reason="no tier is weak, so nothing was trained",
                student=self._student,
                run=str(measured),
            )
        self._machine.say(f"round {self._number}: weak by their tune half: {', '.join(weak)}")
        self._once("questions", lambda: self._asked(before, weak, other))
        self._once("answers", self._answered)
        self._once("lessons", self._learnt)
        self._once("train", self._trained)
        candidate = str(self._folder / "checkpoint")
        self._once("candidate", lambda: self._evaluated(candidate, self._config.tasks, "candidate"))
        kept, reason, changes = decide(before, load_run(self._folder / "candidate"), weak, self._config.keep)
        return Decision(
            round=self._number,
            kept=kept,
            reason=reason,
            student=candidate if kept else self._student,
            run=str(self._folder / "candidate" if kept else measured),
            weak=tuple(weak),
            changes=changes,
        )

    def _once(self, stage: str, work: Any) -> None:
        if stage not in self._journal.done():
            self._machine.say(f"round {self._number}: {stage}")
        self._journal.once(stage, work)

    def _evaluated(self, model: str, tasks: str, name: str, decoding: Decoding | None = None) -> dict[str, int]:
        limit = self._config.max_new_tokens
        config = EvalConfig(
            tasks=(tasks,),
            out=self._folder / name,
            model=model,
            decoding=decoding or Decoding(batch_size=self._config.batch_size, max_new_tokens=limit),
            sandbox=self._machine.sandbox,
            workers=self._machine.workers,
            weak_below=self._config.weak_below if tasks == self._config.tasks else None,
        )
        (report,) = evaluate(config, self._machine.progress())
        return {"samples": report.samples, "tokens": report.tokens.completion}

    def _asked(self, before: Run, weak: list[str], other: list[str]) -> dict[str, int]:
        tests = load_benchmark(self._config.tasks).tasks
        chosen = choose(self._config.questions, weak, other, tests, self._seed)
        write_tasks(chosen.tasks, self._folder / QUESTIONS)
        found = {"tests": self._config.tasks, "tests_digest": before.config.dataset_digest, "left_out": chosen.leaks}
        (self._folder / CONTAMINATION).write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        return {"questions": len(chosen.tasks), "left_out_as_leaks": len(chosen.leaks)}

    def _answered(self) -> dict[str, int]:
        teacher = self._config.teacher
        decoding = Decoding(
            n_samples=teacher.n_samples,
            temperature=teacher.temperature,
            seed=self._seed,
            batch_size=self._config.batch_size,
            max_new_tokens=self._config.max_new_tokens,
        )
        counts = self._evaluated(teacher.model, str(self._folder / QUESTIONS), "answers", decoding)
        return {**counts, "teacher_calls": counts["samples"]}

    def _learnt(self) -> dict[str, int]:
        lessons = list(self._right_answers())
        if not lessons:
            raise UsageError(
                f"no answer of {self._config.teacher.model} to {self._folder / QUESTIONS} is right, so there is "
                "nothing to learn: take another teacher, or questions that it can answer"
            )
        clean = self._without_leaks(lessons)
        write_lessons(clean, self._folder / LESSONS)
        return {"lessons": len(clean), "left_out_as_leaks": len(lessons) - len(clean)}

    def _without_leaks(self, lessons: list[Lesson]) -> list[Lesson]:
        """Return the lessons that give no test away, and write down what was found; see `distill.decontaminate`."""
        texts = [text_of_lesson(lesson) for lesson in lessons]
        machine = self._machine
        found = decontaminate(texts, (self._config.tasks,), None, machine.sandbox, machine.workers, machine.progress())
        (self._folder / DECONTAMINATION).write_bytes(found.to_json())
        if found.left_out and self._config.questions.fail_on_leak:
            raise LeakageError(f"{found.left_out[0]} gives a test away: see {self._folder / DECONTAMINATION}")
        clean = [lesson for lesson, text in zip(lessons, texts, strict=True) if text.name not in set(found.left_out)]
        if not clean:
            raise UsageError(f"every lesson gives a test away: see {self._folder / DECONTAMINATION}")
        return clean

    def _right_answers(self) -> Iterator[Lesson]:
        """Yield a lesson for each distinct right answer that was not cut off."""
        run = load_run(self._folder / "answers")
        tasks = {task.task_id: task for task in run.tasks()}
        rules = rules_for(run.config.protocol, run.config.benchmark)
        right = {(verdict.task_id, verdict.sample_index) for verdict in run.verdicts() if verdict.passed}
        seen: set[tuple[str, str]] = set()
        for sample in run.samples():
            key = sample.task_id, sample.completion
            if (sample.task_id, sample.sample_index) not in right or key in seen:
                continue
            if sample.stop_reason is StopReason.LENGTH:
                continue
            seen.add(key)
            task: Task = tasks[sample.task_id]
            yield Lesson(
                task_id=sample.task_id,
                sample_index=sample.sample_index,
                run="answers",
                split=task.split,
                tier=task.tier or "",
                source=run.config.model,
                prompt=rules.prompt(task),
                completion=sample.completion,
            )

    def _trained(self) -> dict[str, int]:
        config = self._config
        lessons = list(read_lessons(self._folder / LESSONS))
        folder = find_checkpoint(self._student).folder
        loaded = load_weights(str(folder), self._student, dtype="float32", device="auto", trust=False)
        pairs = [(lesson.prompt, lesson.completion) for lesson in lessons]
        rows = rows_of(loaded.tokenizer, pairs, config.prompt_weight)
        everything = Stage(name="lessons", examples=tuple(range(len(rows))), share=1.0, shuffled=True)
        result = train(
            loaded.model,
            rows,
            (everything,),
            config.training,
            loaded.tokenizer.pad_token_id,
            self._folder / "training",
        )
        self._save(loaded.model, loaded.tokenizer, digest_of(folder))
        return {"steps": result.steps, "tokens": result.tokens}

    def _save(self, model: Any, tokenizer: Any, parent_digest: str) -> None:
        """Write the checkpoint, with what it came from: parent, lessons and what was found of the test set in them."""
        checkpoint = self._folder / "checkpoint"
        save(model, tokenizer, checkpoint)
        lessons = (self._folder / LESSONS).read_bytes()
        origin = {
            "parent": self._student,
            "parent_digest": parent_digest,
            "lessons_digest": hashlib.sha256(lessons).hexdigest(),
            "contamination": {
                **msgspec.json.decode((self._folder / CONTAMINATION).read_bytes()),
                "lessons": msgspec.Raw((self._folder / DECONTAMINATION).read_bytes()),
            },
        }
        (checkpoint / "distill.json").write_bytes(msgspec.json.format(msgspec.json.encode(origin)))


def flagged(report: Report) -> tuple[list[str], list[str]]:
    """Return the tiers that are weak by their tune half alone, and the other tiers."""
    weak = [tier.tier for tier in report.tiers if tier.tune is not None and tier.tune.weak]
    return weak, [tier.tier for tier in report.tiers if tier.tier not in weak]
