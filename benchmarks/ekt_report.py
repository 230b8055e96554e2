"""The tables of `python -m benchmarks.ekt`, from the records of its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.ekt_records import ARMS, GOLD, TEACHER, Scores, Taught
from distill.over_seeds import Paired, difference_in_words, markdown_table, mean_in_words, mean_of, paired
from harness import write_whole

Record = TypeVar("Record", Scores, Taught)
ByArm = Mapping[str, Mapping[int, Scores]]


SCORES = {"greedy": "pass@1, greedy", "sampled": "pass@1 at 0.6", "at_10": "pass@10"}
OF_TEACHER = {"greedy": "few_shot", "sampled": "few_shot_sampled", "at_10": "few_shot_at_10"}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it: each seed's teacher and students, and EKT less every other arm, paired by seed.

    `whole` are the seeds that have all of it.
    """

    whole: tuple[int, ...]
    teachers: dict[int, Taught]
    students: dict[str, dict[int, Scores]]
    differences: tuple[Paired, ...]


def write_report(out: Path, seeds: Sequence[int]) -> str:
    """Write ekt.json and ekt.md from what is done, and return the tables."""
    teachers = _read(out, TEACHER, seeds, Taught)
    students = {arm: some for arm in (GOLD, *ARMS) if (some := _read(out, arm, seeds, Scores))}
    whole = tuple(seed for seed in teachers if all(seed in students.get(arm, {}) for arm in (GOLD, *ARMS)))
    differences = tuple(_differences(teachers, students))
    report = Report(whole=whole, teachers=teachers, students=students, differences=differences)
    write_whole(out / "ekt.json", msgspec.json.format(msgspec.json.encode(report)))
    text = "\n".join([f"{len(whole)} of {len(seeds)} seeds are whole.", "", *_tables(report)]) + "\n"
    write_whole(out / "ekt.md", text)
    return text


def _read(out: Path, name: str, seeds: Sequence[int], kind: type[Record]) -> dict[int, Record]:
    paths = {seed: out / str(seed) / f"{name}.json" for seed in seeds}
    return {seed: msgspec.json.decode(path.read_bytes(), type=kind) for seed, path in paths.items() if path.is_file()}


def _differences(teachers: Mapping[int, Taught], students: ByArm) -> Iterator[Paired]:
    """Yield EKT less each other arm, and less its teacher, in both scores."""
    if "ekt" not in students:
        return
    for score in SCORES:
        own = {seed: getattr(one, score) for seed, one in students["ekt"].items()}
        for arm, some in students.items():
            others = {seed: getattr(one, score) for seed, one in some.items()}
            if arm != "ekt" and own.keys() & others.keys():
                yield paired("ekt", own, arm, others, score)
        of_teacher = {"teacher, few-shot": OF_TEACHER[score]}
        of_teacher |= {"teacher, zero-shot": "zero_shot"} if score == "greedy" else {}
        for name, field in of_teacher.items():
            others = {seed: getattr(one, field) for seed, one in teachers.items()}
            if own.keys() & others.keys():
                yield paired("ekt", own, name, others, score)


def _tables(report: Report) -> Iterator[str]:
    names = {
        "few-shot pass@1": "few_shot",
        "zero-shot": "zero_shot",
        "few-shot pass@1 at 0.6": "few_shot_sampled",
        "few-shot pass@10": "few_shot_at_10",
        "questions solved": "solved",
        "samples right": "right_samples",
        "kept by luck": "spurious",
        "student before": "student_before",
    }
    rows = [
        [str(seed), *(f"{100 * getattr(one, field):.1f}" for field in names.values())]
        for seed, one in report.teachers.items()
    ]
    yield from markdown_table(["seed: teacher", *names], rows)
    yield ""
    seeds = sorted({seed for some in report.students.values() for seed in some})
    of_ekt = {(one.control, one.score): one for one in report.differences}
    head = ["arm", *(f"seed {seed}" for seed in seeds), *SCORES.values(), "lessons"]
    rows = []
    for arm, some in report.students.items():
        each = [f"{100 * some[seed].greedy:.1f}" if seed in some else "-" for seed in seeds]
        means = [mean_in_words(mean_of([getattr(one, score) for one in some.values()])) for score in SCORES]
        rows.append([arm, *each, *means, f"{mean_of([one.lessons for one in some.values()]).value:.0f}"])
    yield from markdown_table(head, rows)
    yield ""
    controls = list(dict.fromkeys(one.control for one in report.differences))
    rows = [[control, *(difference_in_words(of_ekt.get((control, score))) for score in SCORES)] for control in controls]
    yield from markdown_table(["ekt less, in points", *SCORES.values()], rows)
