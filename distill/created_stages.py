"""The stages of a round in which the teacher writes its questions: texts, programs for them, and agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from distill.agreement import agreement_of, check_source
from distill.asking import Request, read_asked
from distill.created import (
    CreatedConfig,
    CreatedQuestion,
    Proposal,
    Wish,
    proposals_of,
    read_created,
    wishes_from,
    write_created,
)
from distill.created_text import Fate, WrittenQuestion
from distill.levels import LEVELS, read_levels
from distill.prompts import PromptName, fill
from distill.questions import Chosen, see_that_none_is_a_test, without_leaks
from distill.round_runs import PROBES, QUESTIONS, RoundRuns
from distill.task_files import read_families
from distill.texts import tree_of
from harness import FunctionCalls, Returned, Task, call_functions, load_benchmark, rules_for

TEXTS, PROGRAMS, CREATED = "created_texts.jsonl", "created_programs.jsonl", "created.jsonl"
Outputs = Mapping[tuple[str, str], tuple[Returned, ...]]  # by question and program


class CreatedStages:
    """Has the teacher write questions, and programs by whose agreement they get their tests."""

    def __init__(self, runs: RoundRuns, config: CreatedConfig) -> None:
        self._runs = runs
        self._config = config

    def write(self) -> dict[str, int]:
        """Ask for questions; return what was counted, and how many that were read are dropped for which reason."""
        wishes = self._wishes()
        counts = self._ask([wish.request() for wish in wishes], TEXTS)
        read = [one.record for one in self._proposals(wishes) if one.record.fate is not Fate.UNANSWERED]
        return counts | _fates(read, "written")

    def solve(self) -> dict[str, int]:
        """Ask for programs for the questions that are left."""
        requests = [
            Request(
                task_id=one.record.task_id,
                about="program",
                text=fill(PromptName.ANSWER_CORRECT, {"instruction": one.record.prompt.strip()}),
                sample_index=index,
            )
            for one in self._proposals(self._wishes())
            if one.written
            for index in range(self._config.n_samples)
        ]
        return self._ask(requests, PROGRAMS)

    def agree(self) -> dict[str, int]:
        """Run the programs on the proposed inputs, and write down what became of each question."""
        proposals = self._proposals(self._wishes())
        records = {one.record.task_id: one.record for one in proposals}
        programs: dict[str, list[str]] = {task_id: [] for task_id in records}
        for one in read_asked(self._runs.folder / PROGRAMS):
            programs[one.task_id].append(_program(records[one.task_id], one.program_text))
        returned = self._returned(proposals, programs)
        for proposal in proposals:
            if proposal.written:
                record = proposal.record
                records[record.task_id] = self._agreed(record, proposal.written, programs[record.task_id], returned)
        write_created(records.values(), self._runs.folder / CREATED)
        judged = [records[one.record.task_id] for one in proposals if one.written]
        return {"programs": sum(map(len, programs.values()))} | _fates(judged, "accepted")

    def _wishes(self) -> list[Wish]:
        probes = self._runs.folder / PROBES
        return wishes_from(
            list(read_levels(self._runs.folder / "levels" / LEVELS)),
            {task.task_id: task for task in load_benchmark(str(probes)).tasks},
            read_families(probes),
            self._config,
            self._runs.config.questions.most,
            self._runs.seed,
        )

    def _proposals(self, wishes: Sequence[Wish]) -> list[Proposal]:
        """Read the texts that are there; the same each time."""
        tests = self._runs.tests()
        paths = [path for path in self._runs.earlier(QUESTIONS) if path.stat().st_size]
        met = [task for path in [self._runs.folder / PROBES, *paths] for task in load_benchmark(str(path)).tasks]
        known = [*((task, Fate.NEAR_TEST) for task in tests), *((task, Fate.NEAR_SEED) for task in met)]
        return list(proposals_of(wishes, read_asked(self._runs.folder / TEXTS), known))

    def _ask(self, requests: Sequence[Request], name: str) -> dict[str, int]:
        return self._runs.asked(requests, self._config.temperature, self._runs.folder / name)

    def _returned(self, proposals: Sequence[Proposal], programs: Mapping[str, Sequence[str]]) -> Outputs:
        """Return what the programs give; one that is written twice for a question runs once."""
        wanted = {
            (one.record.task_id, program): FunctionCalls(
                program=program, function=one.written.entry_point, arguments=one.written.inputs
            )
            for one in proposals
            if one.written
            for program in programs[one.record.task_id]
            if program
        }
        machine = self._runs.machine
        found = call_functions(list(wanted.values()), machine.sandbox, machine.workers, machine.progress())
        return dict(zip(wanted, found, strict=True))

    def _agreed(
        self, record: CreatedQuestion, written: WrittenQuestion, programs: Sequence[str], returned: Outputs
    ) -> CreatedQuestion:
        nothing = (Returned(failure="no program"),) * len(written.inputs)
        outputs = [returned.get((record.task_id, program), nothing) for program in programs]
        agreement = agreement_of(outputs, self._config.agreement)
        record = replace(
            record,
            fate=agreement.fate,
            programs=len(programs),
            agreement=round(agreement.share, 4),
            groups=agreement.groups,
        )
        if agreement.fate is not Fate.ACCEPTED:
            return record
        best = agreement.groups[0]
        solution = programs[best.programs[0]]
        if tree_of(solution) is None:  # what runs there and is no Python here is of no use
            return replace(record, fate=Fate.NO_AGREEMENT)
        test, rest = check_source(written.inputs, best.values), solution.removeprefix(record.prompt)
        return replace(record, test=test, canonical_solution=rest)


def chosen_from(path: Path, tests: Sequence[Task]) -> Chosen:
    """Return the accepted questions of a file of records but those that give a test away."""
    records = [record for record in read_created(path) if record.fate is Fate.ACCEPTED]
    tasks = [record.task() for record in records]
    see_that_none_is_a_test(tasks, tests, str(path))
    return without_leaks(tasks, {record.task_id: record.family for record in records}, tests)


def _program(question: CreatedQuestion, text: str) -> str:
    """Return the program of a text, by the rule that answers are judged by; none in an empty text."""
    return rules_for("default", "created").program(question.task(), text) if text.strip() else ""


def _fates(records: Sequence[CreatedQuestion], name: str) -> dict[str, int]:
    """Return how many questions go on, by that name, and how many were dropped for which reason."""
    fates = Counter(record.fate for record in records)
    return {name: fates.pop(Fate.ACCEPTED, 0)} | {f"dropped_{fate}": fates[fate] for fate in Fate if fate in fates}
