"""What decontamination by meaning finds beside the lexical kinds, and what it costs of clean texts.

    python -m benchmarks.leaks_by_meaning --encoder ./finder

Two sets of tests that are put otherwise in training texts. *Words*: MBPP's descriptions, whose authors wrote many of
them anew for the sanitized version, which is the test set here; no programs. *Code*: EvalPlus's own solutions of
HumanEval, without words and under the name `f`. Clean are MBPP's tasks that the sanitized version lacks, and MBPP's
solutions. A threshold is the cosine that so many of one half of the clean texts reach; the other half says what is left
out in vain.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distill.decontaminate import LeakRules, decontaminate
from distill.over_seeds import markdown_table
from distill.semantics import SemanticRules, SemanticSearch
from distill.texts import TrainingText
from harness import Benchmark, ModelOptions, Task, load_benchmark, mbpp_train, open_retriever, wordless_functions

SHARES = (0.01, 0.05)
_ANY = 1e-6  # a threshold that leaves nothing out


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Texts that give a test away, each named after it, and clean ones."""

    name: str
    tests: Benchmark
    leaking: tuple[TrainingText, ...]
    clean: tuple[TrainingText, ...]


def main() -> None:
    """Print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", help="an encoder's folder or id, which is measured at each exit")
    args = parser.parse_args()
    models: list[tuple[str, int | None]] = [("bag-of-tokens", None)]
    if args.encoder:
        models += [(args.encoder, exit) for exit in open_retriever(args.encoder, ModelOptions()).exits]
    for planted in (words(), code()):
        print(f"\n{planted.name}: {len(planted.leaking)} texts that leak, {len(planted.clean)} clean ones\n")
        print("\n".join(table(planted, models)))


def table(planted: Planted, models: Sequence[tuple[str, int | None]]) -> list[str]:
    """Return the lines of a table: what the lexical kinds find, and each model beside them."""
    lexical = _lexical(planted)
    found = sum(one.name in lexical for one in planted.leaking)
    lost = sum(one.name in lexical for one in planted.clean)
    rows = [["lexical", "-", _share(found, planted.leaking), "-", _share(lost, planted.clean)]]
    for model, exit in models:
        rows += _rows(planted, model, exit, lexical)
    return markdown_table(["by", "threshold", "found", "found by either", "clean texts left out"], rows)


def _lexical(planted: Planted) -> frozenset[str]:
    """Return the names of the texts that the other kinds leave out, behaviour aside."""
    report = decontaminate([*planted.leaking, *planted.clean], [planted.tests.name], LeakRules(run=False))
    return report.leaking


def _rows(planted: Planted, model: str, exit: int | None, lexical: frozenset[str]) -> list[list[str]]:
    search = SemanticSearch(SemanticRules(model=model, threshold=_ANY, exit=exit))
    pairs, checked = search.nearest([*planted.leaking, *planted.clean], planted.tests)
    largest: dict[str, float] = {}
    for (text, _), near in pairs.items():
        largest[text] = max(near.cosine, largest.get(text, 0.0))
    choosing, counting = (sorted(_half(planted.clean, half), key=lambda one: one.name) for half in (0, 1))
    rows = []
    for share in SHARES:
        reached = sorted((largest.get(one.name, 0.0) for one in choosing), reverse=True)
        threshold = reached[int(share * len(reached))]
        near = {(text, test) for (text, test), one in pairs.items() if one.cosine > threshold}
        own = {one.name for one in planted.leaking if (one.name, one.name) in near}
        either = [one for one in planted.leaking if one.name in own | lexical]
        lost = [one for one in counting if largest.get(one.name, 0.0) > threshold]
        name = model if not checked.exit else f"encoder, exit {checked.exit}"
        rows.append(
            [
                name,
                f"{threshold:.3f}",
                _share(len(own), planted.leaking),
                _share(len(either), planted.leaking),
                _share(len(lost), counting),
            ]
        )
    return rows


def words() -> Planted:
    """Return MBPP's descriptions that its sanitized version has in other words, and those of tasks that it lacks."""
    tests = load_benchmark("mbpp-sanitized")
    put = {task.task_id: _description(task) for task in tests.tasks}
    raw = [*load_benchmark("mbpp").tasks, *mbpp_train().tasks]
    leaking = [task for task in raw if task.task_id in put and put[task.task_id] != _description(task)]
    clean = [task for task in raw if task.task_id not in put]
    return Planted(
        name="words",
        tests=tests,
        leaking=tuple(TrainingText(name=task.task_id, text=_description(task), programs=()) for task in leaking),
        clean=tuple(TrainingText(name=task.task_id, text=_description(task), programs=()) for task in clean),
    )


def code() -> Planted:
    """Return EvalPlus's solutions of HumanEval that are other programs than HumanEval's, and MBPP's solutions."""
    tests = load_benchmark("humaneval")
    own = {task.task_id: _code(task) for task in tests.tasks}
    others = [(task.task_id, _code(task)) for task in load_benchmark("humaneval+").tasks]
    leaking = [(name, text) for name, text in others if text and text != own.get(name)]
    clean = [(task.task_id, _code(task)) for task in (*load_benchmark("mbpp").tasks, *mbpp_train().tasks)]
    return Planted(name="code", tests=tests, leaking=_programs(leaking), clean=_programs(clean))


def _programs(found: Iterable[tuple[str, str]]) -> tuple[TrainingText, ...]:
    return tuple(TrainingText(name=name, text=text, programs=(text,)) for name, text in found if text)


def _description(task: Task) -> str:
    assert task.statement is not None
    return " ".join(task.statement.description.split())


def _code(task: Task) -> str:
    """Return the function of a task's solution without words."""
    return next((one.code for one in wordless_functions(task.reference) if one.name == task.entry_point), "")


def _half(texts: Sequence[TrainingText], half: int) -> list[TrainingText]:
    return [one for one in texts if hashlib.sha256(one.name.encode()).digest()[0] % 2 == half]


def _share(count: int, of: Sequence[TrainingText]) -> str:
    return f"{count} of {len(of)} ({count / len(of):.1%})"


if __name__ == "__main__":
    main()
