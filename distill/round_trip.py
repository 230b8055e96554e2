"""Code to code across languages by a teacher: functions in Python, translated to any language and back.

After SynthCode2Code2NL of MoSE (arXiv 2503.03008), where nobody looks at what a model translates. A translation is kept
when another answer of the teacher, which sees nothing but the translation, makes a function in Python of it that passes
all tests of the task (round-trip correctness: arXiv 2402.08699). So languages need no interpreter here, and no foreign
program is run but Python, in the sandbox. It is evidence and no proof: a wrong translation may be put right on its way
back. What is Python itself is no translation.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.asking import Request, ask, missing, read_asked, write_asked
from distill.bodies import FENCED
from distill.code_data import PYTHON
from distill.decontaminate import LeakRules, decontaminate
from distill.prompts import PromptName, digest_of_prompt, fence_for, fill
from distill.question_sources import GENERATORS, LISTS, is_file, listed
from distill.task_files import write_tasks
from distill.texts import TrainingText, tree_of
from harness import (
    CheckTests,
    EvalConfig,
    GenerationSettings,
    MeasurementInvalid,
    ModelOptions,
    Outcome,
    Task,
    UsageError,
    evaluate,
    load_benchmark,
    load_run,
    open_model,
    progress_for,
    static_tiers,
    write_whole,
)

PLAN, THERE, BACK, PAIRS, REPORT = "plan.json", "there.jsonl", "back.jsonl", "pairs.jsonl", "translations.json"
_DOCUMENTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_TASKS, _SAMPLES, _JUDGED = "tasks.jsonl", "samples.jsonl", "judged"


class RoundTripConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is translated: functions of training tasks with tests, `count` of a `source` of questions, drawn by `seed`.

    `language` is where to; `model` translates, sampled at `temperature`. What gives one of `apart_from` away is left
    out.
    """

    source: str
    language: str
    model: str
    count: int = 100
    seed: int = 0
    temperature: float = 0.0
    max_new_tokens: int = 1024
    apart_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 1 or self.temperature < 0 or self.max_new_tokens < 1:
            raise ValueError("count and max_new_tokens are at least 1, and temperature at least 0")
        if not self.language.strip() or self.language.strip().lower() == PYTHON.lower():
            raise ValueError(f"language {self.language!r}: another one than {PYTHON}, which programs come from")


class RoundTrips(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the functions: `asked` is the sum of `kept` and what follows it.

    `no_translation` counts answers without a fenced program or in Python, `no_way_back` translations that came back
    without the function, `failed` those whose function came back another one.
    """

    language: str
    asked: int
    kept: int
    no_translation: int
    no_way_back: int
    failed: int
    left_out_as_leaks: int


def translate(
    config: RoundTripConfig,
    out: Path,
    options: ModelOptions | None = None,
    sandbox: str = "auto",
    workers: int = 2,
) -> RoundTrips:
    """Write pairs that a source of code takes (`pairs.jsonl`), and return what became of the others.

    `options` say what runs the teacher, the others where programs are judged.

    Killed and called again it goes on: answers that are there are not asked for again. Raises UsageError for a folder
    with another plan or a source without functions to translate, MeasurementInvalid where the machine failed over a
    program, and what the model raises.
    """
    _claim(config, out)
    tasks, leaking = _tasks(config)
    programs = {task.task_id: without_docstrings(task.reference) for task in tasks}
    requests = [_request(task_id, PYTHON, config.language, program) for task_id, program in programs.items()]
    _ask(config, requests, out / THERE, options)
    there = {one.task_id: translated(one.program_text) for one in read_asked(out / THERE)}
    found = {task_id: text for task_id, text in there.items() if text}
    requests = [_request(task_id, config.language, PYTHON, text) for task_id, text in found.items()]
    _ask(config, requests, out / BACK, options)
    came_back, passed = _judged(tasks, out, sandbox, workers)
    rows = [_row(task_id, config.language, found[task_id], programs[task_id]) for task_id in sorted(passed)]
    write_whole(out / PAIRS, "".join(rows))
    report = RoundTrips(
        language=config.language,
        asked=len(tasks),
        kept=len(passed),
        no_translation=len(tasks) - len(found),
        no_way_back=len(found) - came_back,
        failed=came_back - len(passed),
        left_out_as_leaks=leaking,
    )
    write_whole(out / REPORT, msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return report


def without_docstrings(program: str) -> str:
    """Return a program as Python writes it, without docstrings and comments. Raises SyntaxError."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def translated(text: str) -> str:
    """Return the first fenced program of an answer; none where there is no fence, or what it holds is Python."""
    block = FENCED.search(text.replace("\r\n", "\n"))
    program = block[1].strip("\n") if block else ""
    return "" if tree_of(program) is not None else program


def _request(task_id: str, source: str, target: str, program: str) -> Request:
    fields = {"source": source, "target": target, "program": program, "fence": fence_for(program)}
    return Request(task_id=task_id, about=target, text=fill(PromptName.TRANSLATE, fields))


def _ask(config: RoundTripConfig, requests: Sequence[Request], path: Path, options: ModelOptions | None) -> None:
    path.touch()
    if missing(requests, path):
        settings = GenerationSettings(temperature=config.temperature, max_new_tokens=config.max_new_tokens)
        ask(open_model(config.model, options), requests, settings, path, config.seed)


def _tasks(config: RoundTripConfig) -> tuple[list[Task], int]:
    """Return the tasks whose functions are translated, and how many were left out because they give a test away."""
    tasks = [task for task in _drawn(config) if _has_a_function(task)]
    if not tasks:
        raise UsageError(f"{config.source} has no functions with tests: name one in HumanEval's format, e.g. ladder")
    if foreign := [task for task in tasks if task.split != "train"]:
        raise UsageError(f"{foreign[0].task_id} is not marked as a task to train on, and only those are translated")
    texts = [TrainingText(name=task.task_id, text=task.reference, programs=(task.reference,)) for task in tasks]
    leaking = decontaminate(texts, config.apart_from, LeakRules(run=False)).leaking
    kept = [task for task in tasks if task.task_id not in leaking]
    return kept[: config.count], len(tasks) - len(kept)


def _drawn(config: RoundTripConfig) -> list[Task]:
    """Return the tasks of a source in the order in which they are taken."""
    if (generator := GENERATORS.get(config.source)) is not None:
        tiers = sorted({one.tier for one in static_tiers(load_benchmark(config.source)).tasks})
        return [question.task for question in generator.draw(config.seed, config.count, tiers, None)]
    if config.source in LISTS or is_file(config.source):
        found = [question.task for question in listed(config.source)]
        return random.Random(config.seed).sample(found, len(found))
    raise UsageError(f"{config.source} is no source of questions: {', '.join((*GENERATORS, *LISTS))}, or a task file")


def _has_a_function(task: Task) -> bool:
    return isinstance(task.tests, CheckTests) and task.statement is None and tree_of(task.reference) is not None


def _judged(tasks: Sequence[Task], out: Path, sandbox: str, workers: int) -> tuple[int, set[str]]:
    """Judge the functions that came back; return how many did, and the tasks whose tests they pass."""
    write_tasks(tasks, out / _TASKS)
    came_back = write_asked(tasks, out / BACK, out / _SAMPLES)
    if not came_back:
        return 0, set()
    (report,) = evaluate(
        EvalConfig(
            tasks=(str(out / _TASKS),),
            samples=out / _SAMPLES,
            out=out / _JUDGED,
            partial=True,
            sandbox=sandbox,
            workers=workers,
        ),
        progress_for(),
    )
    if unjudged := report.outcomes[Outcome.NOT_JUDGED]:
        raise MeasurementInvalid(
            f"{unjudged} of {came_back} programs could not be judged because the machine failed. Run the same command "
            "again to go on"
        )
    verdicts = load_run(out / _JUDGED).verdicts()
    return came_back, {one.task_id for one in verdicts if one.outcome is Outcome.PASSED}


def _row(task_id: str, language: str, code: str, program: str) -> str:
    row = {"repo": task_id, "language": language, "code": code, "docstring": "", "translation_of": program}
    return json.dumps(row) + "\n"


def _claim(config: RoundTripConfig, out: Path) -> None:
    """Pin a folder to one plan, one wording of the prompt and the tasks of a list or file."""
    plan: dict[str, Any] = msgspec.to_builtins(config) | {"prompt": digest_of_prompt(PromptName.TRANSLATE)}
    if config.source not in GENERATORS:
        plan["source_digest"] = hashlib.sha256(repr(_drawn(config)).encode()).hexdigest()
    path, content = out / PLAN, msgspec.json.format(msgspec.json.encode(plan)) + b"\n"
    if path.is_file() and path.read_bytes() != content:
        raise UsageError(f"{out} holds translations by another plan: give another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
