"""The stages of a round that look for faulty sides, one for each source, each with its run below the round's folder."""

from __future__ import annotations

from dataclasses import replace

from distill.asking import fault_requests, write_asked
from distill.faults import with_faults, write_mutants
from distill.lessons import FaultSource, Lesson
from distill.restating import answered_lessons
from distill.round_runs import QUESTIONS, RoundRuns
from distill.teaching import STUDENT
from harness import load_benchmark, load_run

RUNS = {FaultSource.STUDENT: "tries", FaultSource.MUTATION: "mutants", FaultSource.TEACHER: "asked"}
MUTANTS, ASKED, ASKED_TEXTS = "mutants.jsonl", "asked.jsonl", "asked_texts.jsonl"
_OTHER_SAMPLES = 10**10  # more than any round's seed


class FaultStages:
    """Looks for faulty sides, source after source: the later ones for what the earlier ones have none for."""

    def __init__(self, runs: RoundRuns) -> None:
        self._runs = runs
        self._sources = runs.config.faults.sources

    def find(self, source: FaultSource) -> dict[str, int]:
        """Make and judge wrong answers of a source, and return what was counted."""
        if source is FaultSource.STUDENT:
            return self._tried()
        return self._mutated() if source is FaultSource.MUTATION else self._asked()

    def lessons(self) -> list[Lesson]:
        """Return the lessons of the answers, with the faulty sides that were found."""
        return self._lessons_with(self._sources)

    def _tried(self) -> dict[str, int]:
        faults = self._runs.config.faults
        decoding = self._runs.sampling(faults.n_samples, faults.temperature)
        if self._runs.config.teacher.model == STUDENT:  # whose answers have that seed
            decoding = replace(decoding, seed=decoding.seed + _OTHER_SAMPLES)
        return self._runs.evaluated(self._questions, RUNS[FaultSource.STUDENT], self._runs.student, decoding)

    def _mutated(self) -> dict[str, int]:
        path = self._runs.folder / MUTANTS
        lessons = self._without_faults(FaultSource.MUTATION)
        if not write_mutants(lessons, path, self._runs.config.faults.mutants, self._runs.seed):
            return {"samples": 0}
        return self._runs.evaluated(self._questions, RUNS[FaultSource.MUTATION], stored=path)

    def _asked(self) -> dict[str, int]:
        config = self._runs.config
        wanted = {lesson.task_id for lesson in self._without_faults(FaultSource.TEACHER)}
        tasks = [task for task in load_benchmark(self._questions).tasks if task.task_id in wanted]
        texts, path = self._runs.folder / ASKED_TEXTS, self._runs.folder / ASKED
        asked = self._runs.asked(fault_requests(tasks), config.faults.temperature, texts)
        found = write_asked(tasks, texts, path)
        judged = self._runs.evaluated(self._questions, RUNS[FaultSource.TEACHER], stored=path) if found else {}
        return {"samples": 0, **judged, **asked}  # the tokens are the teacher's: stored programs have none

    @property
    def _questions(self) -> str:
        return str(self._runs.folder / QUESTIONS)

    def _without_faults(self, source: FaultSource) -> list[Lesson]:
        """Return the right answers for which the sources before this one have no wrong one."""
        lessons = self._lessons_with(self._sources[: self._sources.index(source)])
        return [lesson for lesson in lessons if lesson.passed and lesson.fault is None]

    def _lessons_with(self, sources: tuple[FaultSource, ...]) -> list[Lesson]:
        lessons = answered_lessons(self._runs)
        for source in sources:
            folder = self._runs.folder / RUNS[source]
            if lessons and folder.is_dir():
                lessons = with_faults(lessons, load_run(folder), source)
        return lessons
