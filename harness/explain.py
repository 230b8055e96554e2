"""Why do two runs differ? Their settings field by field, and what made each task flip."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.causes import Cause, Found, Judged, Side, cause_of
from harness.errors import UsageError
from harness.evidence import clean, shown
from harness.prompts import AskedPrompt
from harness.records import Outcome, RunConfig, Sample, Verdict
from harness.runs import Run, load_run
from harness.store import PROMPTS, read_lines

# The fields of run.json by what they are about, in the order in which they act.
GROUPS: dict[str, tuple[str, ...]] = {
    "data and tests": ("benchmark", "dataset_digest", "dataset_source", "task_ids", "partial", "sequential"),
    "model": ("model", "model_digest", "backend", "options", "runtime", "batch_size"),
    "tokenizer": ("tokenizer_digest", "template_digest"),
    "prompt": ("protocol", "prompts_digest", "shots_digest"),
    "decoding": (
        *("n_samples", "temperature", "top_p", "max_new_tokens", "max_length", "seed"),
        *("reasoning", "max_reasoning_tokens", "time_limit_seconds"),
    ),
    "stops": ("stop",),
    "extraction": ("extraction", "origin", "rejudged", "caveats", "audited"),
    "limits": ("cpu_seconds", "wall_seconds", "memory_bytes", "call_cpu_seconds", "call_cpu_factor"),
    "sandbox": ("sandbox", "image_digest", "not_promised", "workers", "cache"),
    "tiers": ("tiers", "tiers_digest", "tier_source", "weak_rule", "weak_rates"),
    "versions": ("versions",),
}
_BY_TASK = frozenset({"tiers", "weak_rates"})  # too many entries to list
_DIFF_LINES = 16
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A field of run.json (or an entry of one) that is not the same in both runs, as text."""

    group: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDifference:
    """How many tasks were asked otherwise, and the first of them: its two prompts as the lines of a diff."""

    tasks: int
    task_id: str
    diff: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A task whose pass rate changed. `causes` counts its samples that came out differently, by cause."""

    task_id: str
    before: float
    after: float
    causes: dict[Cause, int]
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why two runs differ over the tasks that both have. `causes` counts the flipped tasks by their chief cause."""

    benchmarks: tuple[str, str]
    models: tuple[str, str]
    tasks: int
    only_one: int
    before: float
    after: float
    settings: tuple[Setting, ...]
    prompts: PromptDifference | None
    causes: dict[Cause, int]
    flips: tuple[Flip, ...]


def explain(before: Path, after: Path) -> Explanation:
    """Return why two finished runs differ. Raises UsageError for what is no run, and for runs without a common task."""
    runs = load_run(before), load_run(after)
    configs = runs[0].config, runs[1].config
    verdicts = _verdicts(runs[0]), _verdicts(runs[1])
    rates = _rates(verdicts[0]), _rates(verdicts[1])
    tasks = [task for task in configs[0].task_ids if task in rates[0] and task in rates[1]]
    if not tasks:
        raise UsageError(
            f"{before} is of {shown(configs[0].benchmark)}, {after} of {shown(configs[1].benchmark)}: they have no "
            "judged task in common, so there is nothing to explain"
        )
    sides = _side(runs[0]), _side(runs[1])
    flips = _flips(runs, sides, verdicts, [task for task in tasks if rates[0][task] != rates[1][task]], rates)
    chief = Counter(max(flip.causes, key=lambda cause: flip.causes[cause]) for flip in flips)
    return Explanation(
        benchmarks=(configs[0].benchmark, configs[1].benchmark),
        models=(configs[0].model, configs[1].model),
        tasks=len(tasks),
        only_one=len({*rates[0]} ^ {*rates[1]}),
        before=sum(rates[0][task] for task in tasks) / len(tasks),
        after=sum(rates[1][task] for task in tasks) / len(tasks),
        settings=tuple(_settings(*configs)),
        prompts=_prompts(sides, tasks),
        causes=dict(chief.most_common()),
        flips=tuple(flips),
    )


def _verdicts(run: Run) -> dict[Key, Verdict]:
    """Return the verdicts that are the model's doing."""
    return {(one.task_id, one.sample_index): one for one in run.verdicts() if one.outcome is not Outcome.NOT_JUDGED}


def _rates(verdicts: Mapping[Key, Verdict]) -> dict[str, float]:
    judged = Counter(task for task, _ in verdicts)
    passed = Counter(task for (task, _), one in verdicts.items() if one.passed)
    return {task: passed[task] / count for task, count in judged.items()}


def _side(run: Run) -> Side:
    path = run.folder / PROMPTS
    prompts = {one.task_id: one for one in read_lines(path, AskedPrompt)} if path.exists() else {}
    return Side(config=run.config, prompts=prompts)


def _settings(before: RunConfig, after: RunConfig) -> Iterator[Setting]:
    """Yield the fields that differ, group by group; of one that maps names to values, the entries that do."""
    olds, news = asdict(before), asdict(after)
    for group, names in GROUPS.items():
        for name in names:
            yield from _differing(group, name, olds[name], news[name])


def _differing(group: str, name: str, old: object, new: object) -> Iterator[Setting]:
    if old == new:
        return
    texts = _text(old), _text(new)
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
        if name not in _BY_TASK:
            for key in keys:
                yield from _differing(group, f"{name}.{key}", old.get(key), new.get(key))
            return
        texts = f"of {len(old)} tasks", f"of {len(new)} tasks, {len(keys)} not the same"
    if name == "task_ids" and isinstance(old, tuple) and isinstance(new, tuple):
        texts = f"{len(old)} tasks", f"{len(new)} tasks, {len({*old} & {*new})} in common"
    yield Setting(group=group, name=clean(name, 100), before=texts[0], after=texts[1])


def _text(value: object) -> str:
    if value is None or value == "":
        return "none"
    return clean(value, 200) if isinstance(value, str) else shown(value)


def _prompts(sides: tuple[Side, Side], tasks: list[str]) -> PromptDifference | None:
    """Return in what the prompts differ, where both runs have recorded them."""
    texts = [{task: _lines(side.prompts[task]) for task in tasks if task in side.prompts} for side in sides]
    other = [task for task in tasks if task in texts[0] and task in texts[1] and texts[0][task] != texts[1][task]]
    if not other:
        return None
    diff = list(difflib.unified_diff(texts[0][other[0]], texts[1][other[0]], n=1, lineterm=""))[2:]
    cut = [*diff[:_DIFF_LINES], *([f"... {len(diff) - _DIFF_LINES} lines more"] if len(diff) > _DIFF_LINES else [])]
    return PromptDifference(tasks=len(other), task_id=other[0], diff=tuple(clean(line, 200) for line in cut))


def _lines(prompt: AskedPrompt) -> list[str]:
    """Return a prompt line by line, so that blanks and line ends show."""
    parts = [prompt.text or "", *(f"<{one.role}>\n{one.content}" for one in prompt.messages)]
    return [repr(line)[1:-1] for part in parts for line in part.splitlines(keepends=True)]


def _flips(
    runs: tuple[Run, Run],
    sides: tuple[Side, Side],
    verdicts: tuple[dict[Key, Verdict], dict[Key, Verdict]],
    tasks: list[str],
    rates: tuple[dict[str, float], dict[str, float]],
) -> list[Flip]:
    """Return the tasks whose rate changed, each with the causes that its samples show."""
    wanted = set(tasks)
    keys = [
        key
        for key, one in verdicts[0].items()
        if key[0] in wanted and key in verdicts[1] and one.passed != verdicts[1][key].passed
    ]
    samples = _samples(runs[0], keys), _samples(runs[1], keys)
    found: dict[str, list[Found]] = {task: [] for task in tasks}
    for key in keys:
        if key in samples[0] and key in samples[1]:
            pair = tuple(Judged(sample=samples[at][key], verdict=verdicts[at][key]) for at in (0, 1))
            found[key[0]].append(cause_of(sides, (pair[0], pair[1])))
    return [_flip(task, rates[0][task], rates[1][task], found[task]) for task in tasks]


def _samples(run: Run, keys: list[Key]) -> dict[Key, Sample]:
    wanted = set(keys)
    return {key: one for one in run.samples() if (key := (one.task_id, one.sample_index)) in wanted}


def _flip(task: str, before: float, after: float, found: list[Found]) -> Flip:
    found = found or [Found(Cause.NUMBER, "the samples that both runs have came out alike")]
    causes = Counter(one.cause for one in found)
    chief = causes.most_common(1)[0][0]
    evidence = next(one.evidence for one in found if one.cause is chief)
    return Flip(task_id=task, before=before, after=after, causes=dict(causes), evidence=evidence)
