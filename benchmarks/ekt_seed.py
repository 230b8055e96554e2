"""One seed of `python -m benchmarks.ekt`: its teacher and student, and all arms, each with a record of its own.

    python -m benchmarks.ekt_seed --out runs/ekt --seed 1

Arms begin with the same student and train for the same number of steps. The teacher is asked once: the other arms take
its judged answers over from the first one's loop.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from benchmarks.ekt_records import ARMS, GOLD, STUDENT, TEACHER, Plan, Scores, Taught
from distill.claim import has_begun
from distill.config import dump, load_recipe, with_changes
from distill.curriculum import Stage
from distill.documents import tasks_of
from distill.lessons import read_lessons
from distill.loop import CONFIG, STAGES, Journal, LoopConfig, Machine, run_loop
from distill.pretrain import PretrainConfig, pretrain
from distill.rows import pad_of, rows_of
from distill.scratch import save
from distill.training import train
from harness import (
    Decoding,
    EvalConfig,
    MeasurementInvalid,
    NoProgress,
    Outcome,
    Run,
    evaluate,
    load_run,
    load_weights,
    write_whole,
)
from harness.benchmarks.gsm8k_worked import arithmetic_value

SHARED = ("evaluate", "questions", "answers")  # stages that are the same for all arms with a teacher
FEW, ZERO = "ekt-3shot", "ekt-0shot"
LONGEST = 40  # tokens of an answer: five lines and the beginning of the next question
STEPS = (TEACHER, GOLD, *ARMS)
CHANGED = 5  # other numbers on which a kept program has to come to what the question's own does
_NUMBER = re.compile(r"\b\d+\b")


def main() -> None:
    """Do what of a seed is not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of all seeds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--arms", nargs="+", choices=STEPS, default=STEPS, help="(default: all of them)")
    parser.add_argument("--sandbox", default="auto", help="as of harness eval (default: %(default)s)")
    args = parser.parse_args()
    plan = msgspec.json.decode((args.out / "plan.json").read_bytes(), type=Plan)
    seed = OneSeed(args.out.resolve() / str(args.seed), args.seed, plan, args.sandbox)
    seed.make(STUDENT)
    seed.make(TEACHER)
    for arm in args.arms:
        if not (seed.folder / f"{arm}.json").is_file():
            started = time.monotonic()
            record = seed.play(arm)
            write_whole(seed.folder / f"{arm}.json", msgspec.json.format(msgspec.json.encode(record)))
            print(f"seed {args.seed}: {arm} after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


class OneSeed:
    """A seed's folder, and what is done in it."""

    def __init__(self, folder: Path, seed: int, plan: Plan, sandbox: str) -> None:
        self.folder = folder
        self._seed = seed
        self._plan = plan
        self._sandbox = sandbox

    def make(self, name: str) -> None:
        """Pretrain the seed's student or teacher by its recipe."""
        if not (self.folder / name / "training.json").is_file():
            pretrain(self.recipe(name), self.folder / name)

    def recipe(self, name: str) -> PretrainConfig:
        """Return how the seed's student or teacher is made: its recipe with the plan's changes."""
        changes = getattr(self._plan, name)
        own = (
            f"seed={self._seed}",
            f"data.seed={1000 * self._seed + (name == TEACHER)}",
            f"training.seed={self._seed}",
        )
        return with_changes(load_recipe("pretrain", f"words-{name}", PretrainConfig), (*changes, *own))

    def play(self, arm: str) -> Scores | Taught:
        """Train an arm's student and measure it."""
        if arm == TEACHER:
            return self._taught()
        if arm == GOLD:
            return self._gold()
        out = self.folder / arm
        config = self.config(arm)
        if arm != "ekt" and ARMS[arm].shares:
            self.play_once("ekt")
            self.take_over(config, out)
        run_loop(config, out, self._machine())
        stages = [Journal(one).done() for one in sorted((out / "rounds").iterdir())]
        last = [one for one in sorted((out / "rounds").iterdir()) if (one / "checkpoint").is_dir()]
        counts = [one["train"].counts for one in stages if "train" in one]
        return self.measured(
            out,
            last[-1] / "checkpoint" if last else self.folder / STUDENT,
            counts[-1]["lessons"] if counts else 0,
            counts[-1]["steps"] if counts else 0,
            sum(one["tokens"] for one in counts),
        )

    def config(self, arm: str) -> LoopConfig:
        """Return the configuration of an arm's loop: its recipe with the plan's changes."""
        changes = [*self._plan.loop, f"student={self.folder / 'student'}", f"seed={self._seed}"]
        if ARMS[arm].shares:
            changes.append(f"teacher.model={self.folder / 'teacher'}")
        return with_changes(load_recipe("loop", arm, LoopConfig), (*changes, f"max_new_tokens={LONGEST}"))

    def _machine(self) -> Machine:
        return Machine(
            sandbox=self._sandbox, workers=1, progress=NoProgress, say=lambda text: print(text, file=sys.stderr)
        )

    def take_over(self, config: LoopConfig, out: Path) -> None:
        """Begin a loop with the stages of the first arm's that would come out the same."""
        if has_begun(out):
            return
        source, folder = self.folder / "ekt", out / "rounds" / "01"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(
            source / "rounds" / "01",
            folder,
            ignore=lambda _, names: {name for name in names if name in ("checkpoint", "candidate", "training")},
        )
        for name in ("lessons.jsonl", "decontamination.json", "decision.json"):
            (folder / name).unlink(missing_ok=True)
        done = [stage for name, stage in Journal(folder).done().items() if name in SHARED]
        shutil.copy(source / "inputs.json", out / "inputs.json")
        (out / CONFIG).write_text(dump(config), encoding="utf-8")
        write_whole(folder / STAGES, b"".join(msgspec.json.encode(stage) + b"\n" for stage in done))

    def _gold(self) -> Scores:
        """Train the student on the few solved problems that it knows, for as many steps as the others; measure it."""
        out, config = self.folder / GOLD, self.config("ekt")
        pairs = [
            (task.prompt, task.reference.removeprefix(task.prompt)) for task in tasks_of(self.recipe(STUDENT).data)
        ]
        loaded = load_weights(str(self.folder / STUDENT), "student", dtype="float32", device="auto", trust=False)
        rows = rows_of(loaded.tokenizer, pairs, config.prompt_weight)
        everything = (Stage(name="gold", examples=tuple(range(len(rows))), share=1.0, shuffled=True),)
        settings = msgspec.structs.replace(config.training, seed=self._seed)
        done = train(loaded.model, rows, everything, settings, pad_of(loaded.tokenizer))
        save(loaded.model, loaded.tokenizer, out / "checkpoint")
        return self.measured(out, out / "checkpoint", len(pairs), done.steps, done.tokens)

    def _taught(self) -> Taught:
        """Measure the teacher, the student before any training, and what the teacher's answers are worth."""
        self.play_once("ekt")
        teacher = folder = self.folder / TEACHER
        round_ = self.folder / "ekt" / "rounds" / "01"
        answers = load_run(round_ / "answers")
        verdicts = list(answers.verdicts())
        kept = {lesson.task_id: lesson.completion for lesson in read_lessons(round_ / "lessons.jsonl")}
        solved = {verdict.task_id for verdict in verdicts if verdict.passed}
        sampled = self._sampled(teacher, folder / "few-sampled", FEW)
        return Taught(
            few_shot=self._pass_at_1(teacher, folder / "few", FEW),
            few_shot_sampled=sampled["1"],
            few_shot_at_10=sampled["10"],
            zero_shot=self._pass_at_1(teacher, folder / "zero", ZERO),
            student_before=self._pass_at_1(self.folder / STUDENT, folder / STUDENT, ZERO),
            questions=len(answers.config.task_ids),
            solved=len(solved) / len(answers.config.task_ids),
            right_samples=sum(verdict.passed for verdict in verdicts) / len(verdicts),
            lessons=len(kept),
            spurious=spurious_share(answers, kept, self._seed),
        )

    def play_once(self, arm: str) -> None:
        """Play an arm's loop without measuring it, as far as it is not played."""
        run_loop(self.config(arm), self.folder / arm, self._machine())

    def measured(self, out: Path, model: Path, lessons: int, steps: int, tokens: int) -> Scores:
        """Measure a trained student. Raises MeasurementInvalid when the machine failed on a sample."""
        sampled = self._sampled(model, out / "sampled", ZERO)
        return Scores(
            greedy=self._pass_at_1(model, out / "greedy", ZERO),
            sampled=sampled["1"],
            at_10=sampled["10"],
            lessons=lessons,
            steps=steps,
            tokens=tokens,
        )

    def _pass_at_1(self, model: Path, out: Path, protocol: str) -> float:
        return self._evaluated(model, out, Decoding(protocol=protocol), self._plan.tests)["1"]

    def _sampled(self, model: Path, out: Path, protocol: str) -> Mapping[str, float]:
        decoding = Decoding(protocol=protocol, n_samples=10, temperature=self._plan.temperature, seed=self._seed)
        return self._evaluated(model, out, decoding, self._plan.sampled_tests)

    def _evaluated(self, model: Path, out: Path, decoding: Decoding, tests: int) -> Mapping[str, float]:
        config = EvalConfig(
            tasks=("words",),
            out=out,
            model=str(model),
            decoding=replace(decoding, batch_size=200, max_new_tokens=LONGEST),
            limit=tests,
            sandbox=self._sandbox,
            workers=1,
            audit=False,
        )
        (report,) = evaluate(config)
        if unjudged := report.outcomes[Outcome.NOT_JUDGED]:  # of which pass@k knows nothing
            raise MeasurementInvalid(f"{unjudged} samples in {out} were not judged: the same command judges them")
        return {k: estimate.value for k, estimate in report.pass_at_k.items()}


def spurious_share(run: Run, kept: Mapping[str, str], seed: int) -> float:
    """Return how many of the kept programs come to another number than the question's own once its numbers change.

    A number of a question stands for itself wherever it comes; 2 stays, since it also halves and doubles.
    """
    own = {task.task_id: task.reference.removeprefix(task.prompt) for task in run.tasks()}
    draw = random.Random(seed)
    lucky = sum(not computes_the_same(own[task_id], program, draw) for task_id, program in kept.items())
    return lucky / len(kept) if kept else 0.0


def computes_the_same(own: str, program: str, draw: random.Random) -> bool:
    """Say whether two programs of arithmetic come to the same number whatever the question's numbers are."""
    numbers = sorted(set(_NUMBER.findall(own + program)) - {"2"})
    for _ in range(CHANGED):
        others = dict(zip(numbers, map(str, draw.sample(range(1000, 10_000), len(numbers))), strict=True))
        values = [arithmetic_value(_renumbered(text, others)) for text in (own, program)]
        if values[0] != values[1]:
            return False
    return True


def _renumbered(program: str, others: Mapping[str, str]) -> str:
    return _NUMBER.sub(lambda match: others.get(match[0], match[0]), program)


if __name__ == "__main__":
    main()
