"""Which programs solve tasks that they were not written for: the behaviour side of finding leaked tests.

Every candidate is asked the first calls of all tasks with its number of arguments (`harness.probes`), and those that
get through are judged like any sample, in a process of their own. Two kinds of tasks prove nothing when somebody
solves them: those that a single built-in operation solves (`GENERIC`), which are not looked for and are named, and
those whose answers a wrong program may well hit by accident, whose solvers are marked by their `bits`.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

from harness.cells import open_cells
from harness.judge import Judge
from harness.probes import Candidate, Prober, Target, asked
from harness.progress import NoProgress, Progress
from harness.records import Benchmark, Outcome, Sample, StopReason
from harness.resolving import MEMORY_BYTES, PLUS_MEMORY_BYTES
from sandbox import Limits, Sandbox

# What a task is solved by that asks for no more than one operation, by parameters. As in the filter of StarCoder's
# training data, which lets `return x + y` and `return len(string)` pass.
GENERIC = {
    "a=0, b=0, c=0, d=0, e=0": "a|b|c|None|True|False|0|1|-1|''|[]|()",
    "a": "not a|-a|abs(a)|len(a)|sum(a)|max(a)|min(a)|sorted(a)|list(a)|tuple(a)|set(a)|str(a)|int(a)|a[0]|a[-1]"
    "|a[::-1]|a.lower()|a.upper()|''.join(a)|a ** 2|a * 2|a + 1|a - 1|a // 2|a % 2|a % 2 == 0|a % 2 == 1",
    "a, b": "a + b|a - b|a * b|a / b|a // b|a % b|a ** b|a == b|a < b|a > b|a in b|max(a, b)|min(a, b)|a.count(b)|a[b]",
    "a, b, c": "a + b + c|a * b * c|max(a, b, c)|min(a, b, c)",
}
_VALUE_BITS = 16.0  # the most that one answer counts, however long
_CHARACTER_BITS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Solver:
    """A candidate that passes all tests of a task.

    `bits` says how unlikely that is by accident: each new answer counts 3 bits a character (16 at most), each answer
    that came before, and each True, False or None, as much as its share among the answers makes it improbable.
    """

    name: str
    function: str
    task_id: str
    tests: int
    bits: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A candidate of which it is not known whether it solves a task, and why not.

    Where the machine failed, the same call may find it out another time; otherwise the candidate sees to it that nobody
    does.
    """

    name: str
    task_id: str
    reason: str
    machine_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Solvers:
    """What was found in one benchmark. `functions` are distinct ones; `pairs` were asked, `judged` of them judged.

    `slow` pairs took too long over a first call, and do not count as solved. `generic` and `untold` tasks were not
    looked for: a single operation solves them; their tests say nothing about their calls beforehand.
    """

    functions: int
    pairs: int
    judged: int
    slow: int
    seconds: float
    solvers: tuple[Solver, ...]
    generic: tuple[str, ...]
    untold: tuple[str, ...]
    unanswered: tuple[Unanswered, ...]


def find_solvers(
    candidates: Iterable[Candidate],
    benchmark: Benchmark,
    sandbox: str = "auto",
    workers: int = 2,
    progress: Progress | None = None,
) -> Solvers:
    """Return which candidates pass all tests of which tasks. Programs run in the sandbox and nowhere else.

    The same function of the same program is asked once and reported under every name. Raises SandboxError when the
    machine can run nothing; a single program that cannot be judged is among the `unanswered`.
    """
    started = time.monotonic()
    names: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        names.setdefault((candidate.program, candidate.function), []).append(candidate)
    targets = [Target(task) for task in benchmark.tasks]
    limits = Limits(memory_bytes=PLUS_MEMORY_BYTES if benchmark.is_plus else MEMORY_BYTES)
    with closing(open_cells(benchmark, sandbox, limits, workers)) as cells, ThreadPoolExecutor(cells.capacity) as pool:
        search = _Search(cells, limits, pool)
        told = [target for target in targets if target.lengths]
        search.learn(told)
        generic = {found.target.task.task_id for found in search.solvers(tuple(_generic()), told, NoProgress())}
        search.forget_counts()
        special = [target for target in told if target.task.task_id not in generic]
        solvers = [
            Solver(
                name=same.name,
                function=same.function,
                task_id=found.target.task.task_id,
                tests=found.tests,
                bits=found.bits,
            )
            for found in search.solvers([same[0] for same in names.values()], special, progress or NoProgress())
            for same in names[found.candidate.program, found.candidate.function]
        ]
    return Solvers(
        functions=len(names),
        pairs=search.pairs,
        judged=search.judged,
        slow=search.slow,
        seconds=round(time.monotonic() - started, 3),
        solvers=tuple(solvers),
        generic=tuple(sorted(generic)),
        untold=tuple(target.task.task_id for target in targets if not target.lengths),
        unanswered=tuple(
            replace(unanswered, name=same.name)
            for candidate, unanswered in search.unanswered
            for same in names[candidate.program, candidate.function]
        ),
    )


def _generic() -> Iterator[Candidate]:
    for parameters, expressions in GENERIC.items():
        most = parameters.count(",") + 1
        for expression in expressions.split("|"):
            program = f"def f({parameters}):\n    return {expression}\n"
            fewest = 0 if "=" in parameters else most
            yield Candidate(name=expression, program=program, function="f", fewest=fewest, most=most)


@dataclass(frozen=True, slots=True)
class _Found:
    candidate: Candidate
    target: Target
    tests: int
    bits: float


class _Search:
    """Asks and judges in one set of cells, on the threads of one pool, and counts."""

    def __init__(self, cells: Sandbox, limits: Limits, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._judge = Judge(cells, limits)
        self._prober = Prober(cells, limits.memory_bytes)
        self.forget_counts()

    def forget_counts(self) -> None:
        self.pairs = self.judged = self.slow = 0
        self.unanswered: list[tuple[Candidate, Unanswered]] = []

    def learn(self, targets: Sequence[Target]) -> None:
        list(self._pool.map(self._prober.learn, targets))

    def solvers(self, candidates: Sequence[Candidate], targets: Sequence[Target], progress: Progress) -> list[_Found]:
        """Return who passes all tests of what, in the order of tasks."""
        asking = self._prober.about(targets)
        pairs: list[tuple[Target, Candidate]] = []
        by_id = {target.task.task_id: target for target in targets}
        with progress:
            progress.start("functions tried", len(candidates), 0)
            for candidate, shortlist in zip(candidates, self._pool.map(asking, candidates), strict=True):
                self.pairs += shortlist.asked
                self.slow += shortlist.slow
                pairs += [(by_id[task_id], candidate) for task_id in shortlist.possible]
                for task_id in shortlist.unknown:
                    self._note(candidate, task_id, shortlist.reason, shortlist.machine_failed)
                progress.step(None, len(self.unanswered))
            self.judged += len(pairs)
            # A task's candidates together: its tests are then made ready once.
            places = {task_id: place for place, task_id in enumerate(by_id)}
            pairs.sort(key=lambda pair: places[pair[0].task.task_id])
            progress.start("solutions judged", len(pairs), 0)
            found = []
            for one in self._pool.map(self._settled, pairs):
                found += [one] if one is not None else []
                progress.step(None, len(self.unanswered))
        return found

    def _settled(self, pair: tuple[Target, Candidate]) -> _Found | None:
        target, candidate = pair
        program = asked(candidate.program, candidate.function, target.task.entry_point)
        sample = Sample(
            task_id=target.task.task_id,
            sample_index=0,
            completion=program,
            program=program,
            stop_reason=StopReason.FILE,
        )
        verdict = self._judge.judge(target.task, sample)
        if verdict.outcome is Outcome.NOT_JUDGED:
            self._note(candidate, target.task.task_id, verdict.evidence.reason, machine_failed=True)
        if not verdict.passed:
            return None
        bits = bits_of(self._prober.values(candidate, target))
        return _Found(candidate, target, verdict.tests_run, bits)

    def _note(self, candidate: Candidate, task_id: str, reason: str, machine_failed: bool) -> None:
        unanswered = Unanswered(name=candidate.name, task_id=task_id, reason=reason, machine_failed=machine_failed)
        self.unanswered.append((candidate, unanswered))


def bits_of(lines: Sequence[bytes]) -> float:
    """Return how unlikely it is to give these answers by accident; see `Solver`."""
    shares = Counter(lines)
    total = 0.0
    seen: set[bytes] = set()
    for line in lines:
        value = line.removeprefix(b'["v",').removesuffix(b"]")
        if line in seen or value in (b"true", b"false", b"null"):
            total -= math.log2(shares[line] / len(lines))
        else:
            total += min(_VALUE_BITS, _CHARACTER_BITS * len(value))
        seen.add(line)
    return round(total, 1)
