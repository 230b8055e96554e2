"""Whether a few-shot teacher does better when it is shown the solved questions that are nearest to each question.

    python -m benchmarks.nearest_shots --teachers runs/ekt/[1-5]/teacher --encoder ./finder --out runs/shots

The teachers are those of `python -m benchmarks.ekt`, for word problems. Each is asked the dev problems greedily, behind
two solved ones of a pool of training problems that no teacher has seen: the same for all, random ones of several
seeds, or the nearest by BM25, by counts of tokens, and by the encoder at each of its exits. Differences are paired by
problem. Started again it goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from distill.over_seeds import markdown_table, mean_of
from distill.shots import RANDOM, ShotSelection, select_shots
from harness import (
    Decoding,
    EvalConfig,
    ModelOptions,
    UsageError,
    evaluate,
    load_benchmark,
    load_run,
    open_retriever,
    progress_for,
    words_train,
    write_whole,
)

TASKS, TESTS = "words-dev", "words"
POOL_SEED = 900_001  # of no training of `benchmarks.ekt`
COUNT = 2
LONGEST = 40  # tokens of an answer: five lines and the beginning of the next question
FIXED = "the same"


def main() -> None:
    """Evaluate what is not done, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=Path, nargs="+", required=True, help="checkpoints, one a seed")
    parser.add_argument("--encoder", help="an encoder's folder or id, which chooses at each exit")
    parser.add_argument("--out", type=Path, required=True, help="the folder of all runs")
    parser.add_argument("--pool", type=int, default=600, help="solved problems to choose from (default: %(default)s)")
    parser.add_argument("--random", type=int, default=3, help="seeds of random ones (default: %(default)s)")
    parser.add_argument("--sandbox", default="auto", help="as of harness eval (default: %(default)s)")
    args = parser.parse_args()
    if args.random < 1 or args.pool < COUNT:
        raise UsageError(f"--random is at least 1, and --pool at least {COUNT}")
    args.out.mkdir(parents=True, exist_ok=True)
    arms = list(_arms(args.encoder, args.random))
    for name, selection, seed in arms:
        _choose(args.out, args.pool, name, selection, seed)
    for place, teacher in enumerate(args.teachers, 1):
        for name, _, _ in arms:
            _evaluate(teacher, args.out / f"{_file(name)}.jsonl", args.out / str(place) / _file(name), args.sandbox)
    print("\n".join(report(args.out, [name for name, _, _ in arms], len(args.teachers))))


def _arms(encoder: str | None, seeds: int) -> Iterator[tuple[str, ShotSelection | None, int]]:
    """Yield each arm's name, what chooses, and the seed."""
    yield FIXED, None, 0
    for seed in range(seeds):
        yield f"{RANDOM} {seed}", ShotSelection(count=COUNT, by=RANDOM), seed
    for name in ("bm25", "bag-of-tokens"):
        yield name, ShotSelection(count=COUNT, by=name), 0
    if encoder:
        for exit in open_retriever(encoder, ModelOptions()).exits:
            yield f"encoder, exit {exit}", ShotSelection(count=COUNT, by=encoder, exit=exit), 0


def _choose(out: Path, pool: int, name: str, selection: ShotSelection | None, seed: int) -> None:
    """Write an arm's solved problems: of the fixed one, the first of the pool that give no test away."""
    path = out / f"{_file(name)}.jsonl"
    if path.is_file():
        return
    solved = out / "pool.jsonl"
    rows = [
        {"question": task.statement.description, "program": task.reference.removeprefix(task.prompt)}
        for task in words_train(POOL_SEED, pool)
        if task.statement
    ]
    write_whole(solved, "".join(json.dumps(row) + "\n" for row in rows))
    if selection is None:
        write_whole(path, "".join(json.dumps(row) + "\n" for row in rows[:COUNT]))
    else:
        tests = load_benchmark(TESTS).tasks
        select_shots(solved, load_benchmark(TASKS).tasks, tests, selection, seed, path)


def _evaluate(teacher: Path, shots: Path, out: Path, sandbox: str) -> None:
    decoding = replace(Decoding(), protocol="ekt-3shot", temperature=0.0, max_new_tokens=LONGEST, batch_size=100)
    config = EvalConfig(
        tasks=(TASKS,),
        out=out,
        model=str(teacher),
        decoding=decoding,
        shots=shots,
        sandbox=sandbox,
        audit=False,
    )
    evaluate(config, progress_for())


def report(out: Path, arms: list[str], teachers: int) -> list[str]:
    """Return the lines of a table: pass@1 of each arm, and what it has over the mean of the random ones."""
    rates = {
        (name, place): load_run(out / str(place) / _file(name)).baseline().rates()
        for name in arms
        for place in range(1, teachers + 1)
    }
    random = [name for name in arms if name.startswith(RANDOM)]
    rows = []
    for name in arms:
        found = [rates[name, place] for place in range(1, teachers + 1)]
        beside = [[rates[other, place] for other in random] for place in range(1, teachers + 1)]
        apart = [
            fmean(own[task] - fmean(one[task] for one in others) for own, others in zip(found, beside, strict=True))
            for task in found[0]
        ]
        difference = mean_of(apart)
        bounds = (
            "" if difference.low is None else f" ({100 * difference.low:+.1f} to {100 * (difference.high or 0):+.1f})"
        )
        rows.append([name, *(f"{fmean(own.values()):.1%}" for own in found), f"{100 * difference.value:+.1f}{bounds}"])
    head = ["solved problems", *(f"teacher {place}" for place in range(1, teachers + 1)), "minus random, 95 %"]
    return markdown_table(head, rows)


def _file(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")


if __name__ == "__main__":
    main()
