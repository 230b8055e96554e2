"""How well an encoder tells the tiers of tasks, beside the commonest tier, like questions, and the metric.

    python -m benchmarks.predicted_tiers --encoder ./finder --out runs/tiers
    python -m benchmarks.predicted_tiers --encoder ./finder --out runs/tiers \\
        --learnt runs/ekt/1/ekt/rounds/01/answers --questions runs/ekt/1/ekt/rounds/01/questions.jsonl \\
        --tests runs/ekt/1/teacher/few-sampled

Without runs: the tiers by the difficulty of solutions, which a task without a solution has not, told by its words
alone; learnt of MBPP's training tasks, told of MBPP's and HumanEval's tests. With runs of `benchmarks.ekt`: the tiers
by a teacher's pass rates on training problems, told of tests that the same teacher tried. `like questions` is the
vote of the ten nearest known tasks by counts of tokens. `rank` is Spearman's correlation of the tiers with the failure
rates that were measured, or with the metric.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.encoder_settings import EncoderStart, KnownTiers, Sees, TuneTiers
from distill.over_seeds import markdown_table
from distill.tier_prediction import predicted_tiers, tune_tiers
from distill.tier_tasks import TieredTask, tier_tasks, told_by
from distill.train_settings import TrainSettings
from harness import (
    Benchmark,
    Document,
    ModelOptions,
    Tiers,
    load_benchmark,
    load_run,
    open_retriever,
    static_tiers,
    tiers_from_runs,
    write_tiers,
)

STEPS, NEAREST, BATCH_SIZE = 300, 10, 32
ORDER = ("easy", "medium", "hard", "expert")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The tiers of some tasks of a benchmark as they are, and by what they were cut."""

    benchmark: Benchmark
    tiers: dict[str, str]
    hardness: dict[str, float]


def main() -> None:
    """Train an encoder on known tiers, and print how well it and others tell those of tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="the checkpoint that training begins with")
    parser.add_argument("--out", type=Path, required=True, help="the folder of checkpoints")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a training (default: %(default)s)")
    parser.add_argument("--learnt", type=Path, help="a run on training problems whose pass rates make the known tiers")
    parser.add_argument("--questions", type=Path, help="the task file of that run")
    parser.add_argument("--tests", type=Path, help="a run on the tests by the same teacher")
    args = parser.parse_args()
    if args.learnt is None:
        config = settings(args.encoder, args.steps, KnownTiers(tasks="mbpp"), ("mbpp", "humaneval"))
        truths = [truth_of(static_tiers(load_benchmark(name)), load_benchmark(name)) for name in ("mbpp", "humaneval")]
    else:
        args.out.mkdir(parents=True, exist_ok=True)
        known = args.out / "known.json"
        write_tiers(tiers_from_runs(load_benchmark(str(args.questions)), [load_run(args.learnt)]), known)
        config = settings(args.encoder, args.steps, KnownTiers(tasks=str(args.questions), tiers=str(known)), ("words",))
        tests = load_benchmark("words")
        truths = [truth_of(tiers_from_runs(tests, [load_run(args.tests)]), tests)]
    folder = args.out / ("of-runs" if args.learnt else "of-solutions")
    measured = tune_tiers(config, folder)
    print(f"{measured.rows} tasks learnt; of those only looked at, each exit tells right:")
    print(", ".join(f"{one.exit}: {one.measures.get('right', float('nan')):.1%}" for one in measured.exits))
    for truth in truths:
        print(f"\n{truth.benchmark.name}, {len(truth.tiers)} tasks\n")
        print("\n".join(table(truth, config, folder, with_metric=bool(args.learnt))))


def settings(encoder: str, steps: int, known: KnownTiers, apart_from: tuple[str, ...]) -> TuneTiers:
    """Return how an encoder learns tiers: by the words of tasks alone."""
    training = TrainSettings(steps=steps, batch_size=32, learning_rate=1e-3, warmup_steps=30)
    start = EncoderStart(model=encoder)
    return TuneTiers(start=start, training=training, known=(known,), apart_from=apart_from)


def truth_of(tiers: Tiers, benchmark: Benchmark) -> Truth:
    """Return the tiers of the tasks that were measured; by the metric, all of them."""
    kept = [one for one in tiers.tasks if one.evidence is None or one.evidence > 0]
    return Truth(
        benchmark=benchmark,
        tiers={one.task_id: one.tier for one in kept},
        hardness={one.task_id: one.hardness or 0.0 for one in kept},
    )


def table(truth: Truth, config: TuneTiers, folder: Path, with_metric: bool) -> list[str]:
    """Return the lines of a table: the share of tiers that each way tells right, and how it ranks."""
    known = tier_tasks(config).train
    commonest = Counter(one.tier for one in known).most_common(1)[0][0]
    ways: list[tuple[str, dict[str, str]]] = [
        ("the commonest tier", dict.fromkeys(truth.tiers, commonest)),
        ("like questions", like_questions(truth.benchmark, known)),
    ]
    if with_metric:
        static = static_tiers(truth.benchmark)
        ways.append((f"{static.source.kind} tiers", static.by_task()))
        ways.append(("the metric of solutions, in thirds", by_metric(static)))
    from distill.encoder import load_encoder

    for exit in load_encoder(folder)[0].config.exit_layers:
        ways.append((f"encoder, exit {exit}", predicted_tiers(truth.benchmark, str(folder), exit).by_task()))
    rows = [[name, *_told(told, truth)] for name, told in ways]
    return markdown_table(["by", "told right", "rank"], rows)


def by_metric(tiers: Tiers) -> dict[str, str]:
    """Return tiers by the difficulty of solutions, whatever tiers the benchmark brings: a third of the tasks each."""
    ordered = sorted(tiers.tasks, key=lambda one: one.difficulty.overall if one.difficulty else 0.0)
    return {one.task_id: ORDER[3 * place // len(ordered)] for place, one in enumerate(ordered)}


def like_questions(benchmark: Benchmark, known: Sequence[TieredTask]) -> dict[str, str]:
    """Return the tier that most of the nearest known tasks have, by counts of tokens."""
    index = open_retriever("bag-of-tokens", ModelOptions()).index(
        [Document(doc_id=str(place), text=one.parts[0]) for place, one in enumerate(known)], 0, BATCH_SIZE
    )
    asked = [Document(doc_id=task.task_id, text=told_by(task, Sees.QUESTION)[0]) for task in benchmark.tasks]
    found = {}
    for one, row in zip(asked, index.scores(asked), strict=True):
        nearest = (-row).argsort(kind="stable")[:NEAREST]
        found[one.doc_id] = Counter(known[place].tier for place in nearest).most_common(1)[0][0]
    return found


def _told(told: dict[str, str], truth: Truth) -> tuple[str, str]:
    from scipy.stats import spearmanr

    right = sum(told[task] == tier for task, tier in truth.tiers.items())
    said = [ORDER.index(told[task]) for task in truth.tiers]
    share = f"{right / len(truth.tiers):.1%}"
    if len(set(said)) < 2:
        return share, "-"
    rank = spearmanr(said, [truth.hardness[task] for task in truth.tiers]).statistic
    return share, f"{float(rank):+.2f}"


if __name__ == "__main__":
    main()
