"""Find what training texts give away of tests: by id, n-grams, the shape of functions, behaviour, and by meaning.

Every text is checked against every task of the named benchmarks. By behaviour: each function at the top of a text's
programs (and each method of a class there) is tried on all tasks whose tests give as many arguments, in the sandbox
and nowhere else. What could not be found out is no clean text: it is left out, too, and listed.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from distill.likeness import Kind, Leak, Likeness, LikenessRules
from distill.semantics import SemanticChecked, SemanticRules, SemanticSearch
from distill.texts import TrainingText, digest_of_texts, tree_of
from harness import (
    Benchmark,
    Candidate,
    Progress,
    Solver,
    Solvers,
    Unanswered,
    UsageError,
    find_solvers,
    load_benchmark,
)

_ANY_NUMBER = 99


class LeakRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as a leak. With `run` false nothing is run, and behaviour is not compared.

    `semantic` (None: not compared) joins the others and takes the place of none.

    A function that passes a task's tests with fewer than `least_bits` (see `harness.Solver`) may have done so by
    accident: it is reported as weak, and its text is kept.
    """

    likeness: LikenessRules = LikenessRules()
    run: bool = True
    least_bits: float = 10.0
    semantic: SemanticRules | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkChecked:
    """One benchmark that texts were checked against. Without `behaviour` nothing was run; `semantic` is as asked."""

    name: str
    digest: str
    tasks: int
    behaviour: BehaviourChecked | None
    semantic: SemanticChecked | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourChecked:
    """How much was run, and which tasks were not looked for; see `harness.Solvers`."""

    functions: int
    pairs: int
    judged: int
    slow: int
    seconds: float
    generic: tuple[str, ...]
    untold: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decontamination:
    """What was checked and what was found. `texts_digest` covers names and texts of all that was checked.

    `programs` counts texts with a program in them; the others were compared as text alone. `left_out` are the texts
    that leak and those of which it could not be found out (`unanswered`). `weak` are passes that may be accidents.
    What is unanswered because the machine failed says nothing of the text: see `machine_failures`.
    """

    texts: int
    texts_digest: str
    programs: int
    rules: LeakRules
    benchmarks: tuple[BenchmarkChecked, ...]
    leaks: tuple[Leak, ...]
    weak: tuple[Leak, ...]
    unanswered: tuple[Unanswered, ...]
    left_out: tuple[str, ...]

    @property
    def leaking(self) -> frozenset[str]:
        """The names of the texts that give a test away."""
        return frozenset(leak.text for leak in self.leaks)

    @property
    def machine_failures(self) -> tuple[Unanswered, ...]:
        """What may be found out when the same is called again."""
        return tuple(one for one in self.unanswered if one.machine_failed)

    def to_json(self) -> bytes:
        """Return the report as a JSON document, in ASCII: a text may hold half a surrogate pair."""
        return json.dumps(msgspec.to_builtins(self), indent=2).encode("ascii")


def decontaminate(
    texts: Sequence[TrainingText],
    tasks: Sequence[str],
    rules: LeakRules | None = None,
    sandbox: str = "auto",
    workers: int = 2,
    progress: Progress | None = None,
) -> Decontamination:
    """Check texts against the benchmarks that `tasks` names (as `harness eval --tasks` does).

    Raises UsageError for texts that share a name, SandboxError when the machine can run nothing, and what
    `SemanticSearch` does.
    """
    rules = rules or LeakRules()
    names = [text.name for text in texts]
    if len(set(names)) < len(names):
        raise UsageError("two training texts have the same name: their leaks could not be told apart")
    benchmarks = [load_benchmark(name) for name in tasks]
    search = SemanticSearch(rules.semantic) if rules.semantic else None
    candidates = list(candidates_of(texts)) if rules.run else []
    leaks: list[Leak] = []
    weak: list[Leak] = []
    unanswered: list[Unanswered] = []
    checked = []
    for benchmark in benchmarks:
        likeness = Likeness(benchmark.name, benchmark.tasks, rules.likeness)
        leaks += [leak for text in texts for leak in likeness.leaks(text)]
        meant, semantic = search.leaks(texts, benchmark) if search else ([], None)
        leaks += meant
        behaviour = None
        if rules.run and benchmark.runs_programs:
            found = find_solvers(candidates, benchmark, sandbox, workers, progress)
            for leak, bits in _behaviour_leaks(found, benchmark):
                (leaks if bits >= rules.least_bits else weak).append(leak)
            unanswered += found.unanswered
            behaviour = _counts(found)
        checked.append(_checked(benchmark, behaviour, semantic))
    out = {leak.text for leak in leaks} | {one.name for one in unanswered}
    return Decontamination(
        texts=len(texts),
        texts_digest=digest_of_texts(texts),
        programs=sum(bool(text.programs) for text in texts),
        rules=rules,
        benchmarks=tuple(checked),
        leaks=tuple(leaks),
        weak=tuple(weak),
        unanswered=tuple(unanswered),
        left_out=tuple(name for name in names if name in out),
    )


def _checked(
    benchmark: Benchmark, behaviour: BehaviourChecked | None, semantic: SemanticChecked | None
) -> BenchmarkChecked:
    return BenchmarkChecked(
        name=benchmark.name,
        digest=benchmark.digest,
        tasks=len(benchmark.tasks),
        behaviour=behaviour,
        semantic=semantic,
    )


def _counts(found: Solvers) -> BehaviourChecked:
    return BehaviourChecked(
        functions=found.functions,
        pairs=found.pairs,
        judged=found.judged,
        slow=found.slow,
        seconds=found.seconds,
        generic=found.generic,
        untold=found.untold,
    )


def _behaviour_leaks(found: Solvers, benchmark: Benchmark) -> Iterator[tuple[Leak, float]]:
    """Yield one leak for each text and task, that of the function with the best evidence."""
    best: dict[tuple[str, str], Solver] = {}
    for solver in found.solvers:
        key = solver.name, solver.task_id
        if key not in best or best[key].bits < solver.bits:
            best[key] = solver
    for (text, task_id), solver in best.items():
        evidence = f"{solver.function} passes all tests ({solver.tests}); {solver.bits} bits against an accident"
        yield (
            Leak(text=text, benchmark=benchmark.name, task_id=task_id, kind=Kind.BEHAVIOUR, evidence=evidence),
            solver.bits,
        )


def candidates_of(texts: Iterable[TrainingText]) -> Iterator[Candidate]:
    """Yield the functions that can be called from outside: at the top of a program, or methods of a class there."""
    for text in texts:
        for program in text.programs:
            tree = tree_of(program)
            for node in tree.body if tree else ():
                if isinstance(node, ast.FunctionDef):
                    yield from _candidate(text.name, program, node.name, node, 0)
                elif isinstance(node, ast.ClassDef):
                    for method in node.body:
                        if isinstance(method, ast.FunctionDef) and not method.name.startswith("__"):
                            yield from _candidate(text.name, program, f"{node.name}().{method.name}", method, 1)


def _candidate(name: str, program: str, function: str, node: ast.FunctionDef, bound: int) -> Iterator[Candidate]:
    """Yield the function as a candidate, if it can be called with positional arguments alone."""
    given = node.args
    if any(default is None for default in given.kw_defaults):
        return
    positional = len(given.posonlyargs) + len(given.args) - bound
    yield Candidate(
        name=name,
        program=program,
        function=function,
        fewest=max(0, positional - len(given.defaults)),
        most=_ANY_NUMBER if given.vararg else positional,
    )
