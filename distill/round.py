"""One round of the loop, stage by stage, in its folder `rounds/NN`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from distill.decontaminate import decontaminate
from distill.faults import MUTANTS_RUN, STUDENT_RUN, with_faults, write_mutants
from distill.keep import Decision, decide
from distill.lessons import FaultSource, LeakageError, Lesson, read_lessons, write_lessons
from distill.levels import LEVELS, Level, find_levels, read_levels
from distill.loop import Journal, LoopConfig, Machine
from distill.questions import choose, choose_probes, read_families, write_tasks
from distill.scratch import save
from distill.seeds import SeedQuestion, seeds_of
from distill.study import StudySettings, study
from distill.teaching import STUDENT, lessons_of, stored_answers
from distill.texts import text_of_lesson
from harness import (
    Decoding,
    EvalConfig,
    Report,
    Run,
    digest_of,
    evaluate,
    find_checkpoint,
    load_benchmark,
    load_run,
    load_weights,
)

PROBES, QUESTIONS, LESSONS, PLAN = "probes.jsonl", "questions.jsonl", "lessons.jsonl", "plan.json"
CONTAMINATION, DECONTAMINATION = "contamination.json", "decontamination.json"
ATTEMPTS, ANSWERS, STORED, MUTANTS = "attempts", "answers", "stored.jsonl", "mutants.jsonl"


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

        The rounds of a loop draw different questions. Without any lesson nothing is trained, and the decision says so.
        """
        if measured is None:
            measured = self._folder / "student"
            self._once("evaluate", lambda: self._evaluated(self._student, self._config.tasks, "student"))
        before = load_run(measured)
        weak, other = flagged(before.report)
        if not weak:
            return self._unchanged("no tier is weak, so nothing was trained", measured, weak)
        self._machine.say(f"round {self._number}: weak by their tune half: {', '.join(weak)}")
        if self._config.questions.feedback.needs_probes:
            self._once("probes", lambda: self._probed([tier.tier for tier in before.report.tiers]))
            self._once("attempts", self._attempted)
            self._once("levels", self._levelled)
        self._once("questions", lambda: self._asked(before, weak, other))
        self._once("answers", self._answered)
        sources = self._config.faults.sources
        if FaultSource.STUDENT in sources:
            self._once("tries", self._tried)
        if FaultSource.MUTATION in sources:
            self._once("mutants", self._mutated)
        self._once("lessons", self._learnt)
        if not self._journal.done()["lessons"].counts["lessons"]:
            reason = f"no answer of {self._config.teacher.name} makes a lesson, so nothing was trained"
            return self._unchanged(reason, measured, weak)
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

    def _unchanged(self, reason: str, measured: Path, weak: list[str]) -> Decision:
        return Decision(
            round=self._number,
            kept=False,
            reason=reason,
            student=self._student,
            run=str(measured),
            weak=tuple(weak),
        )

    def _once(self, stage: str, work: Any) -> None:
        if stage not in self._journal.done():
            self._machine.say(f"round {self._number}: {stage}")
        self._journal.once(stage, work)

    def _evaluated(
        self, model: str, tasks: str, name: str, decoding: Decoding | None = None, stored: Path | None = None
    ) -> dict[str, int]:
        """Evaluate a model, or stored answers in its place, as the run folder of that name below the round's."""
        limit = self._config.max_new_tokens
        config = EvalConfig(
            tasks=(tasks,),
            out=self._folder / name,
            model=None if stored else model,
            samples=stored,
            partial=stored is not None,
            decoding=decoding or Decoding(batch_size=self._config.batch_size, max_new_tokens=limit),
            sandbox=self._machine.sandbox,
            workers=self._machine.workers,
            weak_below=self._config.weak_below if tasks == self._config.tasks else None,
        )
        (report,) = evaluate(config, self._machine.progress())
        return {"samples": report.samples, "tokens": report.tokens.completion}

    def _sampling(self, n_samples: int, temperature: float) -> Decoding:
        return Decoding(
            n_samples=n_samples,
            temperature=temperature,
            seed=self._seed,
            batch_size=self._config.batch_size,
            max_new_tokens=self._config.max_new_tokens,
        )

    def _probed(self, tiers: list[str]) -> dict[str, int]:
        """Choose what the student has not met: neither now nor in the rounds before."""
        earlier = sorted(self._folder.parent.glob(f"*/{QUESTIONS}"))
        met = {prompt for path in earlier if path.parent != self._folder for prompt in _prompts_in(path)}
        tests = load_benchmark(self._config.tasks).tasks
        chosen = choose_probes(self._config.questions, self._config.attempts.probes, tiers, tests, self._seed, met)
        write_tasks(chosen.tasks, self._folder / PROBES, chosen.families)
        return {"probes": len(chosen.tasks), "left_out_as_trained": chosen.known}

    def _attempted(self) -> dict[str, int]:
        attempts = self._config.attempts
        decoding = self._sampling(attempts.n_samples, attempts.temperature)
        return self._evaluated(self._student, str(self._folder / PROBES), ATTEMPTS, decoding)

    def _levelled(self) -> dict[str, int]:
        attempts = self._config.attempts
        levels = find_levels(self._folder / ATTEMPTS, self._folder / "levels", attempts.views, attempts.rule)
        found = [one.level for one in levels]
        return {level.value: found.count(level) for level in Level} | {"unknown": found.count(None)}

    def _seeds(self) -> list[SeedQuestion]:
        if not self._config.questions.feedback.needs_probes:
            return []
        return seeds_of(read_levels(self._folder / "levels" / LEVELS), read_families(self._folder / PROBES))

    def _asked(self, before: Run, weak: list[str], other: list[str]) -> dict[str, int]:
        tests = load_benchmark(self._config.tasks).tasks
        seeds = self._seeds()
        probes = _prompts_in(self._folder / PROBES) if seeds else set()
        chosen = choose(self._config.questions, weak, other, tests, self._seed, seeds, probes)
        write_tasks(chosen.tasks, self._folder / QUESTIONS, chosen.families if seeds else None)
        if seeds:
            plan = [asdict(part) for part in chosen.plan]
            (self._folder / PLAN).write_bytes(msgspec.json.format(msgspec.json.encode(plan)))
        found = {"tests": self._config.tasks, "tests_digest": before.config.dataset_digest, "left_out": chosen.leaks}
        (self._folder / CONTAMINATION).write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        counts = {"questions": len(chosen.tasks), "left_out_as_leaks": len(chosen.leaks)}
        return {**counts, "left_out_as_probes": chosen.known} if seeds else counts

    def _answered(self) -> dict[str, int]:
        teacher = self._config.teacher
        questions = self._folder / QUESTIONS
        if teacher.samples is not None:
            wanted = {task.task_id for task in load_benchmark(str(questions)).tasks}
            if not stored_answers(Path(teacher.samples), self._folder / STORED, wanted):
                return {"samples": 0, "tokens": 0, "teacher_calls": 0}
            counts = self._evaluated("", str(questions), ANSWERS, stored=self._folder / STORED)
            return {**counts, "teacher_calls": 0}
        model = self._student if teacher.model == STUDENT else str(teacher.model)
        decoding = self._sampling(teacher.n_samples, teacher.temperature)
        counts = self._evaluated(model, str(questions), ANSWERS, decoding)
        return {**counts, "teacher_calls": 0 if teacher.model == STUDENT else counts["samples"]}

    def _tried(self) -> dict[str, int]:
        faults = self._config.faults
        decoding = self._sampling(faults.n_samples, faults.temperature)
        return self._evaluated(self._student, str(self._folder / QUESTIONS), STUDENT_RUN, decoding)

    def _mutated(self) -> dict[str, int]:
        """Change right answers for which the sources before have no fault, and judge what comes of it."""
        sources = self._config.faults.sources
        lessons = self._lessons_with(sources[: sources.index(FaultSource.MUTATION)])
        path = self._folder / MUTANTS
        bare = [lesson for lesson in lessons if lesson.fault is None]
        if not write_mutants(bare, path, self._config.faults.mutants, self._seed):
            return {"samples": 0}
        return self._evaluated("", str(self._folder / QUESTIONS), MUTANTS_RUN, stored=path)

    def _lessons_with(self, sources: tuple[FaultSource, ...]) -> list[Lesson]:
        """Return the lessons of the answers, with faulty sides from these sources, the first first."""
        if not (self._folder / ANSWERS).is_dir():  # nothing was answered
            return []
        lessons = list(lessons_of(load_run(self._folder / ANSWERS), self._config.filter_answers))
        for source in sources:
            folder = self._folder / {FaultSource.STUDENT: STUDENT_RUN, FaultSource.MUTATION: MUTANTS_RUN}[source]
            if folder.is_dir():
                lessons = with_faults(lessons, load_run(folder), source)
        return lessons

    def _learnt(self) -> dict[str, int]:
        sources = self._config.faults.sources
        lessons = self._lessons_with(sources)
        clean = self._without_leaks(lessons) if lessons else []
        write_lessons(clean, self._folder / LESSONS)
        counts = {"lessons": len(clean), "left_out_as_leaks": len(lessons) - len(clean)}
        found = [lesson.fault.source for lesson in clean if lesson.fault]
        return counts | {f"faults_by_{source}": found.count(source) for source in sources}

    def _without_leaks(self, lessons: list[Lesson]) -> list[Lesson]:
        """Return the lessons that give no test away, and write down what was found; see `distill.decontaminate`."""
        texts = [text_of_lesson(lesson) for lesson in lessons]
        machine = self._machine
        found = decontaminate(texts, (self._config.tasks,), None, machine.sandbox, machine.workers, machine.progress())
        (self._folder / DECONTAMINATION).write_bytes(found.to_json())
        if found.left_out and self._config.questions.fail_on_leak:
            raise LeakageError(f"{found.left_out[0]} gives a test away: see {self._folder / DECONTAMINATION}")
        clean = [lesson for lesson, text in zip(lessons, texts, strict=True) if text.name not in set(found.left_out)]
        return clean

    def _trained(self) -> dict[str, int]:
        config = self._config
        lessons = list(read_lessons(self._folder / LESSONS))
        folder = find_checkpoint(self._student).folder
        loaded = load_weights(str(folder), self._student, dtype="float32", device="auto", trust=False)
        settings = StudySettings(training=config.training, pairs=config.pairs, prompt_weight=config.prompt_weight)
        result = study(loaded.model, loaded.tokenizer, lessons, settings, self._folder / "training")
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


def _prompts_in(path: Path) -> set[str]:
    """Return the prompts of a task file that was written here."""
    with path.open(encoding="utf-8") as lines:
        return {json.loads(line)["prompt"] for line in lines}
