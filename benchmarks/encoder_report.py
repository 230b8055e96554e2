"""The tables of `python -m benchmarks.encoders`, from the records of its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.encoder_records import START, Plan, Scores, arms_of, asked_for, single
from benchmarks.encoder_sets import LEXICAL, Ranked
from benchmarks.seeds import PLAN
from distill.over_seeds import Mean, Paired, difference_in_words, markdown_table, mean_in_words, mean_of, paired
from harness import write_whole

SINGLE, CUT = "each exit alone", "the last exit alone, cut"
BESIDE_JOINT = (SINGLE, CUT, START, "joint-equal", "joint-kl")  # what joint training is held against
BESIDE_CONTEXT = ("joint-mlm", "joint-modules", "joint")
ByArm = Mapping[str, Mapping[int, Mapping[int, Mapping[str, Ranked]]]]  # arm, seed, exit, set


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it: what words alone come to, each arm's scores by seed, and MRRs less one another, by set and exit."""

    lexical: dict[str, dict[str, Ranked]]
    arms: dict[str, dict[int, Scores]]
    differences: tuple[Paired, ...]


def write_report(out: Path, seeds: Sequence[int]) -> str:
    """Write encoders.json and encoders.md from what is done, and return the tables."""
    lexical = msgspec.json.decode((out / LEXICAL).read_bytes(), type=dict[str, dict[str, Ranked]])
    plan = msgspec.json.decode((out / PLAN).read_bytes(), type=Plan)
    exits = plan.exits
    arms = {arm: some for arm in (START, *arms_of(plan)) if (some := _read(out, arm, seeds))}
    shown = rows_of(arms, plan)
    sets = list(next(iter(lexical.values())))
    differences = [one for name in sets for one in _differences(shown, name, exits)]
    report = Report(lexical=lexical, arms=arms, differences=tuple(differences))
    write_whole(out / "encoders.json", msgspec.json.format(msgspec.json.encode(report)))
    text = "\n".join(line for name in sets for line in _tables(report, shown, name, exits)) + "\n"
    write_whole(out / "encoders.md", text)
    return text


def _read(out: Path, arm: str, seeds: Sequence[int]) -> dict[int, Scores]:
    paths = {seed: out / str(seed) / f"{arm}.json" for seed in seeds}
    return {seed: msgspec.json.decode(path.read_bytes(), type=Scores) for seed, path in paths.items() if path.is_file()}


def rows_of(arms: Mapping[str, Mapping[int, Scores]], plan: Plan) -> ByArm:
    """Return what the tables have rows of: models trained for one exit are one row, each measured at its own."""
    found: dict[str, dict[int, dict[int, Mapping[str, Ranked]]]] = {}
    ways = arms_of(plan)
    for arm, some in arms.items():
        only = ways[arm].exits.only if arm in ways else None
        for seed, scores in some.items():
            for one, every in scores.exits.items():
                sets = {name: every[name] for name in asked_for(plan, ways.get(arm), every)}
                if only in (None, one):
                    found.setdefault(arm if only is None else SINGLE, {}).setdefault(seed, {})[one] = sets
                if arm == single(plan.exits[-1]):
                    found.setdefault(CUT, {}).setdefault(seed, {})[one] = sets
    return found


def _mrrs(shown: ByArm, arm: str, name: str, exit_layer: int) -> dict[int, float]:
    return {seed: by[exit_layer][name].mrr for seed, by in shown.get(arm, {}).items() if name in by.get(exit_layer, {})}


def _differences(shown: ByArm, name: str, exits: Sequence[int]) -> Iterator[Paired]:
    """Yield the MRR of joint training less that of others, and of contexts less that of none, at each exit."""
    for arm, others in (("joint", BESIDE_JOINT), ("joint-mlm-context", BESIDE_CONTEXT)):
        for other in others:
            for one in exits:
                own, control = (_mrrs(shown, which, name, one) for which in (arm, other))
                if own.keys() & control.keys():
                    yield paired(arm, own, other, control, f"{name}/{one}")


def _tables(report: Report, shown: ByArm, name: str, exits: Sequence[int]) -> Iterator[str]:
    heads = [f"exit {one}" for one in exits]
    rows = [
        [model, *[""] * (len(exits) - 1), _cell([by[name]])]  # which have no exits
        for model, by in report.lexical.items()
    ]
    for arm, seeds in shown.items():
        cells = [[by[one][name] for by in seeds.values() if name in by.get(one, {})] for one in exits]
        if any(cells):
            rows.append([arm, *(_cell(some) if some else "-" for some in cells)])
    yield from markdown_table([f"{name}: MRR; recall@1, @10", *heads], rows)
    yield ""
    found = {(one.arm, one.control, one.score): one for one in report.differences}
    pairs = list(dict.fromkeys((arm, control) for arm, control, score in found if score.startswith(f"{name}/")))
    rows = [
        [f"{arm} less {control}", *(difference_in_words(found.get((arm, control, f"{name}/{one}"))) for one in exits)]
        for arm, control in pairs
    ]
    if rows:
        yield from markdown_table([f"{name}: MRR, points", *heads], rows)
        yield ""
        yield from _said(report, shown, name, found, exits)
        yield ""


def _cell(some: Sequence[Ranked]) -> str:
    first, ten = (100 * mean_of([getattr(one, f"recall_at_{most}") for one in some]).value for most in (1, 10))
    return f"{mean_in_words(mean_of([one.mrr for one in some]))}; {first:.1f}, {ten:.1f}"


def _said(
    report: Report,
    shown: ByArm,
    name: str,
    found: Mapping[tuple[str, str, str], Paired],
    exits: Sequence[int],
) -> Iterator[str]:
    """Yield in words whether joint training is as good as training for an exit, and whether words are beaten."""
    for one in exits:
        against = found.get(("joint", SINGLE, f"{name}/{one}"))
        if against is not None:
            yield f"- exit {one}: joint is {_compared(against.difference)} a model trained for that exit alone"
        own = _mrrs(shown, "joint", name, one)
        for model, by in report.lexical.items():
            if own:
                difference = mean_of([mrr - by[name].mrr for mrr in own.values()])
                yield f"- exit {one}: joint is {_compared(difference)} {model}"


def _compared(difference: Mean) -> str:
    """Return where a difference lies, and whether its interval says so as well."""
    way = "above" if difference.value > 0 else "below" if difference.value < 0 else "equal to"
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return f"{way} (within its interval)"
    return f"{way}"
