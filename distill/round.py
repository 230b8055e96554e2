"""One round of the loop, stage by stage, in its folder `rounds/NN`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from shutil import rmtree

from distill.created_stages import CREATED, CreatedStages, chosen_from
from distill.fault_stages import RUNS, FaultStages
from distill.keep import Decision, decide
from distill.lesson_stage import learnt, why_nothing_is_learnt
from distill.lessons import FaultSource
from distill.levels import LEVELS, Level, find_levels, read_levels
from distill.loop import Journal, LoopConfig, Machine
from distill.mending import mended
from distill.questions import Chosen, Draw, Met, choose, choose_probes
from distill.restating import restated
from distill.round_runs import ANSWERS, PROBES, QUESTIONS, RoundRuns
from distill.seeds import SeedQuestion, seeds_of
from distill.shots import ShotSelection, select_shots
from distill.task_files import read_families, write_tasks
from distill.teaching import STUDENT, stored_answers
from distill.training_stage import CONTAMINATION, TRAINING, earlier_lessons, json_of, trained
from harness import (
    ModelUnavailable,
    Report,
    Run,
    load_benchmark,
    load_run,
)

PLAN, ATTEMPTS, STORED = "plan.json", "attempts", "stored.jsonl"
SHOTS, SELECTION = "shots.jsonl", "shots.json"


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
        self._runs = RoundRuns(config=config, folder=folder, student=student, seed=self._seed, machine=machine)
        self._faults = FaultStages(self._runs)

    def play(self, measured: Path | None, alpha: float | None = None) -> Decision:
        """Go through the stages that are not done yet; `measured` is the student's run, where there is one already.

        `alpha` is the level at which this round tests its gain (None: the whole of `keep.alpha`). The rounds of a loop
        draw different questions, as far as a file has them. Without any question or lesson nothing is trained, and the
        decision says so.
        """
        if measured is None:
            measured = self._folder / "student"
            self._once("evaluate", lambda: self._runs.evaluated(self._config.tasks, "student", self._student))
        before = load_run(measured)
        weak, other = flagged(before.report)
        if not weak and self._config.only_when_weak:
            return self._unchanged("no tier is weak, so nothing was trained", measured, weak)
        self._machine.say(f"round {self._number}: weak by their tune half: {', '.join(weak) or 'none'}")
        if self._config.questions.feedback.needs_probes:
            self._once("probes", lambda: self._probed([tier.tier for tier in before.report.tiers]))
            if not self._journal.done()["probes"].counts["probes"]:
                reason = "no question is left that the student was not trained on, so nothing was trained"
                return self._unchanged(reason, measured, weak)
            self._once("attempts", self._attempted)
            self._once("levels", self._levelled)
        if created := self._config.questions.created:
            stages = CreatedStages(self._runs, created)
            self._once("created", stages.write)
            self._once("programs", stages.solve)
            self._once("agreement", stages.agree)
        self._once("questions", lambda: self._asked(before, weak, other))
        if not self._journal.done()["questions"].counts["questions"]:
            return self._unchanged("there is no question to train on, so nothing was trained", measured, weak)
        if self._config.teacher.mends:
            self._once(RUNS[FaultSource.STUDENT], partial(self._faults.find, FaultSource.STUDENT))
        self._choose_shots()
        self._once("answers", lambda: self._answered() | restated(self._runs))
        for source in self._config.faults.sources:
            self._once(RUNS[source], partial(self._faults.find, source))
        self._once("lessons", partial(learnt, self._runs, self._faults))
        counts = self._journal.done()["lessons"].counts
        if not counts["lessons"]:
            return self._unchanged(why_nothing_is_learnt(counts, self._config.teacher.name), measured, weak)
        self._once("train", partial(trained, self._runs, before.config.model_digest))
        rmtree(self._folder / TRAINING, ignore_errors=True)  # only needed to go on; half of one would be in the way
        candidate = str(self._folder / "checkpoint")
        self._once("candidate", lambda: self._runs.evaluated(self._config.tasks, "candidate", candidate))
        rule = self._config.keep
        level = rule.alpha if alpha is None else alpha
        after = load_run(self._folder / "candidate")
        gaining = weak if self._config.only_when_weak else None
        kept, reason, changes = decide(before.baseline(), after.baseline(), gaining, rule, level)
        return Decision(
            round=self._number,
            kept=kept,
            reason=reason,
            student=candidate if kept else self._student,
            run=str(self._folder / "candidate" if kept else measured),
            weak=tuple(weak),
            changes=changes,
            alpha=level,
            confidence=1 - rule.alpha,
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

    def _once(self, stage: str, work: Callable[[], dict[str, int]]) -> None:
        if stage not in self._journal.done():
            self._machine.say(f"round {self._number}: {stage}")
        try:
            self._journal.once(stage, work)
        except ModelUnavailable as error:
            raise ModelUnavailable(
                f"round {self._number}, {stage}: {str(error).rstrip('.')}. The student is as it was, and what was done "
                "is kept: when the model can be used, run the same command again to go on"
            ) from error

    def _probed(self, tiers: list[str]) -> dict[str, int]:
        """Choose what the student has not met: neither now nor in the rounds before."""
        tests = self._runs.tests()
        probes = self._config.attempts.probes
        chosen = choose_probes(self._config.questions, probes, tiers, tests, self._seed, self._asked_before())
        write_tasks(chosen.tasks, self._folder / PROBES, chosen.families)
        return {"probes": len(chosen.tasks), "left_out_as_trained": chosen.known} | self._missing(chosen)

    def _asked_before(self) -> set[str]:
        """Return the prompts of the questions of the rounds before."""
        return {prompt for path in self._runs.earlier(QUESTIONS) for prompt in _prompts_in(path)}

    def _missing(self, chosen: Chosen) -> dict[str, int]:
        """Count, and say, how many questions fewer there are than the plan asks for."""
        if chosen.missing:
            self._machine.say(f"round {self._number}: {chosen.missing} fewer than planned ({chosen.shortfall()})")
        return {"short_of_plan": chosen.missing}

    def _attempted(self) -> dict[str, int]:
        attempts = self._config.attempts
        decoding = self._runs.sampling(attempts.n_samples, attempts.temperature)
        return self._runs.evaluated(str(self._folder / PROBES), ATTEMPTS, self._student, decoding)

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
        tests = self._runs.tests()
        questions = self._config.questions
        seeds = [] if questions.created else self._seeds()
        if questions.created:
            chosen = chosen_from(self._folder / CREATED, tests)
        elif questions.draw is Draw.UNSOLVED and self._number > 1:
            chosen = self._unsolved()
        else:
            probes = _prompts_in(self._folder / PROBES) if seeds else set()
            met = Met(probes=probes, asked=self._asked_before())
            chosen = choose(questions, weak, other, tests, self._seed, seeds, met)
        write_tasks(chosen.tasks, self._folder / QUESTIONS, chosen.families if seeds or questions.created else None)
        if seeds:
            plan = [{**asdict(part), "found": found} for part, found in zip(chosen.plan, chosen.found, strict=True)]
            (self._folder / PLAN).write_bytes(json_of(plan))
        found: dict[str, object] = {"tests": self._config.tasks, "tests_digest": before.config.dataset_digest}
        found["left_out"] = chosen.leaks
        if questions.apart_from:
            found["apart_from"] = {name: load_benchmark(name).digest for name in questions.apart_from}
        (self._folder / CONTAMINATION).write_bytes(json_of(found))
        counts = {"questions": len(chosen.tasks), "left_out_as_leaks": len(chosen.leaks)}
        if not questions.created:
            counts |= self._missing(chosen)
        return {**counts, "left_out_as_probes": chosen.known} if seeds else counts

    def _unsolved(self) -> Chosen:
        """Return the first round's questions of which no round has made a lesson."""
        path = self._folder.parent / "01" / QUESTIONS
        if not path.stat().st_size:
            return Chosen(tasks=(), leaks=())
        solved = {lesson.task_id for lesson in earlier_lessons(self._runs)}
        tasks = tuple(task for task in load_benchmark(str(path)).tasks if task.task_id not in solved)
        return Chosen(tasks=tasks, leaks=(), families=read_families(path))

    @property
    def _asks_as_a_teacher(self) -> bool:
        """Whether answers are asked for by the teacher's own prompt; a student that has taught itself needs none."""
        return not self._config.teacher.prompt_until_trained or self._student == self._config.student

    def _choose_shots(self) -> None:
        """Play the stage of solved questions, where they are to be chosen."""
        if (selection := self._config.teacher.select_shots) and self._asks_as_a_teacher:
            self._once("shots", lambda: self._selected(selection))

    def _selected(self, selection: ShotSelection) -> dict[str, int]:
        """Choose the solved questions that each question is shown, and write down what they were chosen by."""
        questions, pool = load_benchmark(str(self._folder / QUESTIONS)).tasks, Path(str(self._config.teacher.shots))
        chosen = select_shots(pool, questions, self._runs.tests(), selection, self._seed, self._folder / SHOTS)
        (self._folder / SELECTION).write_bytes(json_of(chosen))
        return {"solved": chosen.pool, "left_out_as_leaks": len(chosen.left_out), "shown": chosen.shown}

    def _answered(self) -> dict[str, int]:
        teacher = self._config.teacher
        if teacher.mends:
            return mended(self._runs)
        questions = self._folder / QUESTIONS
        if teacher.samples is not None:
            wanted = {task.task_id for task in load_benchmark(str(questions)).tasks}
            if not stored_answers(Path(teacher.samples), self._folder / STORED, wanted):
                return {"samples": 0, "tokens": 0, "teacher_calls": 0}
            counts = self._runs.evaluated(str(questions), ANSWERS, stored=self._folder / STORED)
            return {**counts, "teacher_calls": 0}
        model = self._student if teacher.model == STUDENT else str(teacher.model)
        decoding = self._runs.sampling(teacher.n_samples, teacher.temperature)
        at_once = teacher.at_once(self._config.batch_size)
        decoding = replace(decoding, time_limit_seconds=teacher.time_limit_seconds, batch_size=at_once)
        options, shots = teacher.options, None
        if self._asks_as_a_teacher:
            decoding = replace(decoding, protocol=teacher.protocol or self._config.protocol)
            shots = Path(teacher.shots) if teacher.shots else None
            shots = self._folder / SHOTS if teacher.select_shots else shots
        counts = self._runs.evaluated(str(questions), ANSWERS, model, decoding, options=options, shots=shots)
        asked = len(load_benchmark(str(questions)).tasks) * teacher.n_samples
        calls = {"teacher_calls": 0 if teacher.model == STUDENT else counts["samples"]}
        return counts | calls | self._runs.unanswered(asked, counts["samples"])


def flagged(report: Report) -> tuple[list[str], list[str]]:
    """Return the tiers that are weak by their tune half alone, and the other tiers."""
    weak = [tier.tier for tier in report.tiers if tier.tune is not None and tier.tune.weak]
    return weak, [tier.tier for tier in report.tiers if tier.tier not in weak]


def _prompts_in(path: Path) -> set[str]:
    """Return the prompts of a task file that was written here."""
    with path.open(encoding="utf-8") as lines:
        return {json.loads(line)["prompt"] for line in lines}
