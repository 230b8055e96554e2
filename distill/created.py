"""Questions that a teacher writes from seeds: how many of which, what is asked, and which are like others.

The third stage of IterKD (arXiv 2408.03680): from what the student copes with, rarer and different questions of the
same domain; from what it does not, questions of the same domain and type of task.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from distill.agreement import Group
from distill.asking import Asked, Request
from distill.created_text import Fate, WrittenQuestion, read_question
from distill.levels import Level, QuestionLevel
from distill.likeness import ngrams_of, parts_of
from distill.prompts import PromptName, fill
from distill.seeds import LevelWeights
from harness import CheckTests, Task, write_whole

NGRAM, MOST_ALIKE = 5, 0.7


class PerSeed(LevelWeights, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many new questions a seed question asks for, by its level."""

    easy: float = 0.2
    medium: float = 1.0
    hard: float = 1.0


class CreatedConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Questions written by the teacher, with tests by the agreement of its programs (`distill.agreement`).

    `per_seed` says how many are asked for from each seed, by its level. For each question `n_samples` programs are
    drawn, and the share `agreement` of them has to agree (0.51: more than half of up to 50). `temperature` is that of
    questions and programs.
    """

    per_seed: PerSeed = PerSeed()
    n_samples: int = 5
    agreement: float = 0.51
    temperature: float = 0.8

    def __post_init__(self) -> None:
        if self.n_samples < 2 or not self.temperature > 0:
            raise ValueError("n_samples is at least 2 and temperature above 0: programs have to agree independently")
        if not 0 < self.agreement <= 1:
            raise ValueError("agreement is a share above 0 and at most 1")

    def most(self, seeds: int) -> int:
        """Return the most questions that so many seeds can ask for."""
        return _whole(max(self.per_seed.easy, self.per_seed.medium, self.per_seed.hard) * seeds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A question that a teacher is asked for, with the seed that it is to be like."""

    task_id: str
    seed: Task
    level: Level
    family: str

    def request(self) -> Request:
        """Return what the teacher is asked (`prompts/question_easy.txt`, `prompts/question_hard.txt`)."""
        prompt = PromptName.QUESTION_EASY if self.level is Level.EASY else PromptName.QUESTION_HARD
        text = fill(prompt, {"instruction": self.seed.prompt.strip()})
        return Request(task_id=self.task_id, about=self.level.value, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedQuestion:
    """What became of a question: a line of `created.jsonl`.

    `near` names what it is too much like. `programs` were written for it, and `groups` of them agree, the best first;
    `agreement` is the share of that one, in 0..1. Tests and solution are those of an accepted one.
    """

    task_id: str
    seed: str
    level: Level
    tier: str
    family: str
    fate: Fate
    near: str = ""
    entry_point: str = ""
    prompt: str = ""
    programs: int = 0
    agreement: float = 0.0
    groups: tuple[Group, ...] = ()
    test: str = ""
    canonical_solution: str = ""

    def task(self) -> Task:
        """Return an accepted question as a task to train on; its prompt can be run on the trusted side."""
        call = f"\ncheck({self.entry_point})\n"
        tests = CheckTests(source=self.test + call, remote_names=(self.entry_point,), helpers=self.prompt)
        return Task(
            task_id=self.task_id,
            prompt=self.prompt,
            entry_point=self.entry_point,
            reference=self.prompt + self.canonical_solution,
            tests=tests,
            tier=self.tier,
            split="train",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A question as far as it is known before programs are run; `written` where it goes on."""

    record: CreatedQuestion
    written: WrittenQuestion | None = None


def wishes_from(
    levels: Sequence[QuestionLevel],
    seeds: Mapping[str, Task],
    families: Mapping[str, str],
    config: CreatedConfig,
    most: int | None,
    seed: int,
) -> list[Wish]:
    """Return what to ask for: `per_seed` from each seed of known level, and `most` at most, drawn by `seed`.

    Of a fraction of a question, as many seeds as that makes get one.
    """
    chance = random.Random(f"{seed} created")
    chosen: list[QuestionLevel] = []
    for level in Level:
        those = [one for one in levels if one.level is level]
        if those:
            each, more = divmod(_whole(getattr(config.per_seed, level.value) * len(those)), len(those))
            lucky = set(chance.sample(range(len(those)), more))
            chosen += [one for place, one in enumerate(those) for _ in range(each + (place in lucky))]
    if most is not None and len(chosen) > most:
        chosen = [chosen[place] for place in sorted(chance.sample(range(len(chosen)), most))]
    return [
        Wish(
            task_id=f"Created/{seed}-{place}",
            seed=seeds[one.task_id],
            level=Level(str(one.level)),
            family=families.get(one.task_id, ""),
        )
        for place, one in enumerate(chosen)
    ]


def _whole(amount: float) -> int:
    return math.floor(amount + 1e-9)  # 0.29 of 100 is 29


class Neighbours:
    """Descriptions by their 5-grams, to find one that is near another: Jaccard's index of the two sets above 0.7."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._names: list[tuple[str, Fate]] = []
        self._places: dict[tuple[str, ...], list[int]] = {}

    def add(self, description: str, name: str, fate: Fate) -> None:
        """Know a description, and what becomes of one that is near it."""
        ngrams = ngrams_of(description, NGRAM)
        for ngram in ngrams:
            self._places.setdefault(ngram, []).append(len(self._names))
        self._sizes.append(len(ngrams))
        self._names.append((name, fate))

    def nearest(self, description: str) -> tuple[str, Fate] | None:
        """Return the name and fate of the first description among the nearest, if it is too near."""
        ngrams = ngrams_of(description, NGRAM)
        shared: Counter[int] = Counter()
        for ngram in ngrams:
            shared.update(self._places.get(ngram, ()))
        alike = {place: both / (len(ngrams) + self._sizes[place] - both) for place, both in shared.items()}
        best = min(alike, key=lambda place: (-alike[place], place), default=None)
        return self._names[best] if best is not None and alike[best] > MOST_ALIKE else None


def proposals_of(
    wishes: Sequence[Wish], asked: Iterable[Asked], known: Iterable[tuple[Task, Fate]]
) -> Iterator[Proposal]:
    """Yield what was read in a teacher's texts, in the order of wishes: the first of several that are alike goes on.

    `known` are tasks that no question may be near, with the fate of one that is.
    """
    texts = {one.task_id: one.text for one in asked}
    neighbours = Neighbours()
    for task, fate in known:
        neighbours.add(description_of(task), task.task_id, fate)
    for wish in wishes:
        record = CreatedQuestion(
            task_id=wish.task_id,
            seed=wish.seed.task_id,
            level=wish.level,
            tier=wish.seed.tier or "",
            family=wish.family,
            fate=Fate.ACCEPTED,
        )
        text = texts.get(wish.task_id)
        written = Fate.UNANSWERED if text is None else read_question(text)
        if isinstance(written, Fate):
            yield Proposal(record=replace(record, fate=written))
            continue
        record = replace(record, entry_point=written.entry_point, prompt=written.prompt)
        if near := neighbours.nearest(written.description):
            yield Proposal(record=replace(record, near=near[0], fate=near[1]))
            continue
        neighbours.add(written.description, wish.task_id, Fate.NEAR_QUESTION)
        yield Proposal(record=record, written=written)


def description_of(task: Task) -> str:
    """Return what a task asks for, without its examples."""
    return next(text for label, text in parts_of(task) if label == "description")


def read_created(path: Path) -> list[CreatedQuestion]:
    """Return the records of a file that was written here."""
    return [msgspec.json.decode(line, type=CreatedQuestion) for line in path.read_bytes().splitlines()]


def write_created(records: Iterable[CreatedQuestion], path: Path) -> None:
    """Write a line per record; the file appears at the end and whole."""
    write_whole(path, b"".join(msgspec.json.encode(record) + b"\n" for record in records))
