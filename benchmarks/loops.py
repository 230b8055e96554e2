"""What each part of IterKD is worth: the whole method beside its ablations and baselines, at the same training budget.

    python -m benchmarks.loops --out runs/loops --seeds 1,2,3,4,5 --jobs 2

Trains a small student and a teacher with the same tokenizer from scratch on chains (benchmarks/chains.py), then plays
a loop of two rounds for each arm and seed by `harness distill run`: the same student, as many questions a round, as
many steps. Tests, questions and what the models begin with have no order of steps in common, and no near-copies. What
is compared is pass@1 of each round's student, greedy, over all tests, kept or not; the loop's own rule may discard a
first round, and then the second one begins where the first did. Killed and started again it goes on; finished loops
stay, so arms and seeds can be added later.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

from benchmarks.chains import FAMILIES, TIERS, write_chains
from distill.curriculum import Stage
from distill.loop import Journal, read_decision
from distill.over_seeds import difference_in_words, markdown_table, mean_in_words, mean_of, paired
from distill.rows import rows_of
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from distill.training import TrainSettings, train
from harness import find_leaks, load_benchmark, load_run

WHOLE = ("iterkd", "no-contrastive")  # with all its parts, and as it is recommended
PLAIN = ("questions.feedback=weak-tiers", "faults.sources=[]")
ARMS: dict[str, tuple[str, ...]] = {
    "iterkd": (),
    "chosen-only": ("pairs.contrastive=chosen-only",),
    "no-contrastive": ("pairs.contrastive=none",),
    "light-margin": ("pairs.weight=0.02",),
    "dpo": ("pairs.contrastive=dpo",),
    "unlikelihood": ("pairs.contrastive=none", "pairs.unlikelihood=0.1"),
    "uniform": ("questions.feedback=none",),
    "same-tiers": ("questions.feedback=same-tiers",),
    "no-levels": ("questions.weights={easy: 1, medium: 1, hard: 1}", "questions.widen=0"),
    "no-filter": ("filter_answers=false",),
    "sft": PLAIN,
    "sequence-kd": (*PLAIN, "filter_answers=false"),
    "logit-kd": (*PLAIN, "logits={weight: 0.5}"),
    "self-training": (*PLAIN, "teacher.model=student", "teacher.n_samples=4", "teacher.temperature=0.8"),
    "random-tier": (*PLAIN, "questions.feedback=random-tier"),
    # PERsD needs a teacher that mends programs, which here is an oracle, and never wrong.
    "persd-oracle": (*PLAIN, "teacher={model: canonical, mends: true, mending_lessons: combine}"),
}
ROUNDS = 2
KINDS = tuple(product(TIERS, FAMILIES))
SKEW = {"two": 6.0, "three": 3.0, "four": 1.0, "five": 0.5}  # what the student begins with is mostly short
STUDENT_EXAMPLES = 800
VOCABULARY = 320


def shape(hidden: int, layers: int) -> ModelRecipe:
    """Return a small Llama."""
    fields = {
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.05,
    }
    return ModelRecipe(family="llama", fields=fields)


MODELS = {"student": (shape(64, 3), "seeds"), "teacher": (shape(80, 4), "teaching")}
SCRATCH = TrainSettings(
    steps=1200, batch_size=32, learning_rate=0.003, warmup_steps=50, weight_decay=0.05, adam_beta2=0.98
)


def base(out: Path) -> str:
    """Return the whole method's configuration, small enough for dozens of loops on two cores."""
    return f"""
student: {out / "student"}
tasks: {out / "tests.jsonl"}
teacher: {{model: {out / "teacher"}}}
max_new_tokens: 80
questions: {{source: {out / "questions.jsonl"}, count: 200, feedback: levels}}
attempts: {{probes: 120, n_samples: 3, temperature: 0.8}}
faults: {{sources: [student], n_samples: 1, temperature: 0.8}}
pairs: {{contrastive: margin, weight: 0.1}}
prompt_weight: 0.1
batch_size: 256
training:
  steps: 200
  batch_size: 16
  learning_rate: 0.002
  warmup_steps: 10
  weight_decay: 0.05
  adam_beta2: 0.98
keep: {{alpha: 0.999999, max_drop: 1, tier_max_drop: 1}}
rounds: {ROUNDS}
"""


def prepare(out: Path, tests: int) -> None:
    """Make the tasks, the models and the configuration that all arms share, as far as they are not there."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "teaching.jsonl").is_file():
        write_tasks(out, tests)
    (out / "iterkd.yaml").write_text(base(out), encoding="utf-8")
    pairs = {name: pairs_in(out / f"{name}.jsonl") for name in ("seeds", "teaching")}
    tokenizer = make_tokenizer(TokenizerRecipe(vocabulary=VOCABULARY), (a + b for a, b in pairs["teaching"]))
    for name, (recipe, data) in MODELS.items():
        if (out / name / "config.json").is_file():
            continue
        model = build_model(recipe, tokenizer, 0)
        print(f"{name}: {model.num_parameters()} parameters, {len(pairs[data])} examples", file=sys.stderr)
        rows = rows_of(tokenizer, pairs[data], 0.1)
        everything = Stage(name="all", examples=tuple(range(len(rows))), share=1.0, shuffled=True)
        train(model, rows, (everything,), SCRATCH, tokenizer.pad_token_id, out / f"{name}-training")
        save(model, tokenizer, out / name)


def write_tasks(out: Path, tests: int) -> None:
    """Write tests, and what the student begins with, questions and the teacher's examples, which give no test away."""
    total = sum(SKEW[tier] for tier, _ in KINDS)
    begins = {kind: round(STUDENT_EXAMPLES * SKEW[kind[0]] / total) for kind in KINDS}
    of_tests = {kind: (8 if kind[0] == "two" else 24) * tests // 320 for kind in KINDS}  # two steps have few orders
    orders = write_chains(out / "tests.jsonl", 1, of_tests, "test", set())
    write_chains(out / "seeds.jsonl", 2, begins, "train", orders)
    write_chains(out / "questions.jsonl", 3, dict.fromkeys(KINDS, 200), "train", orders)
    write_chains(out / "teaching.jsonl", 4, dict.fromkeys(KINDS, 800), "train", orders)
    measured = load_benchmark(str(out / "tests.jsonl")).tasks
    for name in ("seeds", "questions", "teaching"):
        path = out / f"{name}.jsonl"
        leaks = find_leaks(load_benchmark(str(path)).tasks, measured, run=False)
        leaking = {leak.task_id for leak in leaks}
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if json.loads(line)["task_id"] not in leaking]
        print(f"{path.name}: {len(kept)} of {len(lines)} give no test away", file=sys.stderr)
        path.write_text("".join(kept), encoding="utf-8")


def pairs_in(path: Path) -> list[tuple[str, str]]:
    """Return the prompts of a task file with their solutions."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(row["prompt"], row["canonical_solution"]) for row in rows]


def play(out: Path, arm: str, seed: int, sandbox: str) -> None:
    """Play an arm's loop by the command line, on one thread."""
    folder = out / arm / str(seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "harness.cli", "distill", "run", "--config", str(out / "iterkd.yaml")]
    for change in (*ARMS[arm], f"seed={seed}", f"training.seed={seed}"):
        command += ["--set", change]
    command += ["--out", str(folder), "--workers", "1", "--sandbox", sandbox]
    started = time.monotonic()
    with folder.with_suffix(".log").open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    print(f"{arm}, seed {seed}: status {done.returncode} after {time.monotonic() - started:.0f} s", file=sys.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A loop that is done: pass@1 before and after each round, and lessons, training tokens and kept rounds of all."""

    rates: tuple[float, ...]
    lessons: int
    tokens: int
    kept: int


def played(folder: Path) -> Played | None:
    """Return what came of a loop, or None where it is not done."""
    rounds = [folder / "rounds" / f"{number:02}" for number in range(1, ROUNDS + 1)]
    decisions = [read_decision(one) for one in rounds]
    if None in decisions:
        return None
    runs = [rounds[0] / "student", *(one / "candidate" for one in rounds)]
    stages = [Journal(one).done() for one in rounds]
    return Played(
        rates=tuple(load_run(run).report.pass_at_k["1"].value for run in runs),
        lessons=sum(one["lessons"].counts["lessons"] for one in stages),
        tokens=sum(one["train"].counts["tokens"] for one in stages),
        kept=sum(one.kept for one in decisions if one is not None),
    )


def report(out: Path, arms: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """Yield the lines of the tables, over the loops that are done."""
    loops = {arm: {seed: one for seed in seeds if (one := played(out / arm / str(seed)))} for arm in arms}
    there = {arm: some for arm, some in loops.items() if some}
    last = {arm: {seed: one.rates[-1] for seed, one in some.items()} for arm, some in there.items()}
    head = ["arm", "seeds", "before", *(f"round {number}" for number in range(1, ROUNDS + 1))]
    wholes = [whole for whole in WHOLE if whole in last]
    head += ["lessons", "tokens trained", "rounds kept", *(f"{whole} less this arm, points" for whole in wholes)]
    rows = []
    for arm, some in there.items():
        of_round = zip(*(one.rates for one in some.values()), strict=True)
        cells = [arm, str(len(some)), *(mean_in_words(mean_of(rates)) for rates in of_round)]
        cells += [f"{fmean(one.lessons for one in some.values()):.0f}"]
        cells += [f"{fmean(one.tokens for one in some.values()):,.0f}"]
        cells += [f"{sum(one.kept for one in some.values())}/{ROUNDS * len(some)}"]
        cells += [apart(whole, arm, last) for whole in wholes]
        rows.append(cells)
    yield from markdown_table(head, rows)
    yield ""
    each = [[arm, *(f"{100 * last[arm][seed]:.1f}" if seed in last[arm] else "-" for seed in seeds)] for arm in there]
    yield from markdown_table(["arm, after the last round", *(f"seed {seed}" for seed in seeds)], each)


def apart(whole: str, arm: str, last: Mapping[str, Mapping[int, float]]) -> str:
    """Return in words how much better one arm is than another, a dash where nothing can be said."""
    if whole == arm or not last[whole].keys() & last[arm].keys():
        return "-"
    return difference_in_words(paired(whole, last[whole], arm, last[arm], "pass@1"))


def main() -> None:
    """Play the loops that are not done, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the tasks, models and loops are")
    parser.add_argument("--arms", default=",".join(ARMS), help="(default: %(default)s)")
    parser.add_argument("--seeds", default="1,2,3,4,5", help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="loops at a time, a thread each (default: %(default)s)")
    parser.add_argument("--tests", type=int, default=320, help="tests to measure by (default: %(default)s)")
    parser.add_argument("--sandbox", default="auto", help="as of harness distill run (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="play nothing, print what is done")
    args = parser.parse_args()
    out, arms, seeds = args.out.resolve(), args.arms.split(","), [int(seed) for seed in args.seeds.split(",")]
    if not args.report:
        prepare(out, args.tests)
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda one: play(out, one[1], one[0], args.sandbox), product(seeds, arms)))
    print("\n".join(report(out, arms, seeds)))


if __name__ == "__main__":
    main()
