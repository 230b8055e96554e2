"""The loop: evaluate, flag weak tiers, ask the teacher, judge its answers, train, evaluate, keep or discard.

Every stage leaves its record in the round's folder and is not done again once that is there, so a killed loop goes on
where it was. The student changes only by a decision that says so.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from distill.faults import FaultsConfig
from distill.feedback import FeedbackConfig
from distill.idle import see_that_values_act
from distill.keep import Decision, KeepRule, level_of_round
from distill.lessons import FaultSource
from distill.levels import LevelRule
from distill.logits import LogitSettings
from distill.pairs import PairSettings
from distill.questions import QuestionsBy, QuestionsConfig
from distill.scratch import SAVED_TYPES
from distill.selection import AnswersConfig, RoundsConfig
from distill.teaching import STUDENT, TeacherConfig
from distill.training import TrainSettings
from harness import Progress, UsageError, write_leaderboard, write_whole

CONFIG, STAGES, DECISION = "config.yaml", "stages.jsonl", "decision.json"
LEADERBOARD = "leaderboard"
MOST_ROUNDS, MOST_SEED = 999, 4_000_000  # seed x 1000 + round seeds a training, and transformers takes 32 bits


class AttemptsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The student's attempts at questions that it has not met: `probes` questions, `n_samples` each at `temperature`.

    They are made where `questions.feedback` needs levels, which follow `rule`; `views` gives the rule its scorer.
    """

    probes: int = 400
    n_samples: int = 4
    temperature: float = 0.8
    rule: LevelRule = LevelRule.PASS_RATE
    views: FeedbackConfig = FeedbackConfig(lint=False)

    def __post_init__(self) -> None:
        if self.probes < 1 or self.n_samples < 1 or self.temperature < 0:
            raise ValueError("probes and n_samples are at least 1, temperature at least 0")
        if self.n_samples > 1 and not self.temperature:
            raise ValueError("several greedy samples are all the same: give a temperature above 0")
        if self.rule is not LevelRule.PASS_RATE and self.views.scorer is None:
            raise ValueError(f"levels by the rule {self.rule} need a model view: name views.scorer")


class LoopConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A loop of rounds. `student` is what `--model` takes, `tasks` is what is measured, and `protocol` how it is asked.

    With `only_when_weak`, a round trains when a tier is weak, and the weak tiers are what has to gain; otherwise every
    round trains, and all tasks together have to. Without `filter_answers`, wrong answers of the teacher are learnt as
    well; `answers` says which of a question's. `between_rounds` says what a round takes over from those before it.
    `faults` says where wrong answers beside the right ones come from, and `pairs` what training makes of them; `logits`
    has the teacher's probabilities learnt instead. `weak_below` calls a tier weak whose interval lies wholly below that
    pass rate (0..1), instead of below the pass rate of all tasks. `max_new_tokens` bounds every completion (None: the
    protocol's number), and transformers is given `batch_size` prompts at once. `prompt_weight` is what a prompt's
    tokens count in the loss, beside 1 for an answer's. `save_as` is the type of a new student's saved weights. What is
    drawn and sampled, and a training whose `seed` is None, follows `seed` and the round.

    Values out of their range are refused, and those other than their default that cannot act beside the others.
    """

    student: str
    teacher: TeacherConfig
    training: TrainSettings
    tasks: str = "ladder"
    protocol: str = "default"
    only_when_weak: bool = True
    questions: QuestionsConfig = QuestionsConfig()
    attempts: AttemptsConfig = AttemptsConfig()
    filter_answers: bool = True
    answers: AnswersConfig = AnswersConfig()
    between_rounds: RoundsConfig = RoundsConfig()
    faults: FaultsConfig = FaultsConfig()
    pairs: PairSettings = PairSettings()
    logits: LogitSettings | None = None
    keep: KeepRule = KeepRule()
    weak_below: float | None = None
    prompt_weight: float = 0.0
    save_as: str = "float32"
    max_new_tokens: int | None = None
    batch_size: int = 64
    rounds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= MOST_ROUNDS or not 0 <= self.seed <= MOST_SEED or self.batch_size < 1:
            raise ValueError(f"rounds is 1 to {MOST_ROUNDS}, seed 0 to {MOST_SEED:,}, and batch_size at least 1")
        if self.prompt_weight < 0 or not 0 <= (self.weak_below or 0) <= 1:
            raise ValueError("prompt_weight is at least 0, and weak_below a pass rate from 0 to 1")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError("max_new_tokens is at least 1")
        if self.save_as not in SAVED_TYPES:
            raise ValueError(f"save_as {self.save_as!r}: one of {', '.join(SAVED_TYPES)}")
        if self.logits and (self.faults.sources or self.teacher.model in (None, STUDENT) or self.teacher.on_a_server):
            raise ValueError("logits need another model, on this machine, for a teacher, and no faulty sides")
        if FaultSource.TEACHER in self.faults.sources and not self.teacher.can_be_asked:
            raise ValueError("faults by the teacher need a model for a teacher that can be asked")
        if self.questions.created and not self.teacher.can_be_asked:
            raise ValueError("created questions need a model for a teacher that can be asked: name teacher.model")
        by_weakness = self.questions.feedback in (QuestionsBy.WEAK_TIERS, QuestionsBy.RANDOM_TIER)
        if not self.only_when_weak and by_weakness:
            raise ValueError(
                f"only_when_weak: false, where no tier need be weak, goes with another questions.feedback "
                f"than {self.questions.feedback}, such as none"
            )
        if self.tasks in self.questions.apart_from:
            raise ValueError(f"questions.apart_from: {self.tasks} is measured, so nothing is learnt of it anyway")
        if self.training.window is not None and self.faults.sources:
            raise ValueError("training.window: random windows hold no pairs; leave it or faults.sources out")
        again = self.teacher.model == STUDENT and FaultSource.STUDENT in self.faults.sources
        if again and not self.teacher.temperature and not self.faults.temperature:
            raise ValueError("a greedy student that teaches itself has no other answer: give faults.temperature")
        see_that_values_act(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where programs run, and who is told of progress."""

    sandbox: str = "auto"
    workers: int = 2
    progress: Callable[[], Progress]
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDone:
    """A finished stage of a round: how long it took (of its last attempt), and what it counted, such as tokens."""

    stage: str
    seconds: float
    counts: dict[str, int]


class Journal:
    """The stages of a round that are done, one line each in `stages.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def done(self) -> dict[str, StageDone]:
        """Return the finished stages by name, in their order."""
        path = self.folder / STAGES
        lines = path.read_bytes().splitlines() if path.is_file() else []
        stages = (msgspec.json.decode(line, type=StageDone) for line in lines)
        return {stage.stage: stage for stage in stages}

    def once(self, stage: str, work: Callable[[], dict[str, int]]) -> None:
        """Do a stage's work unless it is done; `work` returns what it counted."""
        done = self.done()
        if stage in done:
            return
        started = time.monotonic()
        counts = work()
        gc.collect()  # models hang in reference cycles, and the next stage needs their place on a GPU
        record = StageDone(stage=stage, seconds=round(time.monotonic() - started, 3), counts=counts)
        lines = [msgspec.json.encode(one) + b"\n" for one in (*done.values(), record)]
        write_whole(self.folder / STAGES, b"".join(lines))


def run_loop(config: LoopConfig, out: Path, machine: Machine, until_gate: bool = False) -> list[Decision]:
    """Go through the rounds in `out`/rounds/NN and return their decisions; finished ones are read.

    Stops early when no tier is weak, unless every round trains, and with `until_gate` when a round is kept. Raises
    UsageError when `out` holds a loop with another configuration or is in use; for what is missing or does not fit,
    before anything is done.
    """
    from distill.claim import claimed

    with claimed(out, config) as folder:
        return _rounds(config, folder, machine, until_gate)


def _rounds(config: LoopConfig, out: Path, machine: Machine, until_gate: bool) -> list[Decision]:
    from distill.round import Round

    decisions: list[Decision] = []
    for number in range(1, config.rounds + 1):
        last = decisions[-1] if decisions else None
        folder = out / "rounds" / f"{number:02}"
        decision = read_decision(folder)
        if decision is None:
            student = last.student if last else config.student
            spent = [one.alpha for one in decisions]
            level = 0.0 if config.keep.always else level_of_round(config.keep, spent, config.rounds)
            _see_what_is_needed(config, student, out, folder)
            decision = Round(config, folder, number, student, machine).play(Path(last.run) if last else None, level)
            write_whole(folder / DECISION, msgspec.json.format(msgspec.json.encode(decision)))
        decisions.append(decision)
        machine.say(f"round {number}: {'kept' if decision.kept else 'not kept'}: {decision.reason}")
        _show(out, machine)
        if (config.only_when_weak and not decision.weak) or (until_gate and decision.kept):
            break
    return decisions


def _show(out: Path, machine: Machine) -> None:
    """Write the leaderboard of the first student and of all candidates, kept or not; the loop goes on without one."""
    rounds = out / "rounds"
    runs = [rounds / "01" / "student", *sorted(rounds.glob("*/candidate"), key=lambda run: int(run.parent.name))]
    try:
        machine.say(f"leaderboard: {write_leaderboard(runs, out / LEADERBOARD, 'Distillation loop')}")
    except UsageError as error:
        machine.say(f"no leaderboard: {error}")


def _see_what_is_needed(config: LoopConfig, student: str, out: Path, folder: Path) -> None:
    """See that a round's inputs are there; once the teacher has answered, they have been used."""
    from distill.claim import has_begun
    from distill.inputs import see_inputs

    if "answers" not in Journal(folder).done():
        see_inputs(config, student, out, has_begun(out))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStatus:
    """Where a round stands: its finished stages in order, and its decision (None: not yet)."""

    round: int
    stages: tuple[StageDone, ...]
    decision: Decision | None


def status_of(out: Path) -> list[RoundStatus]:
    """Return where the rounds of a loop stand. Raises UsageError when the folder holds none."""
    if not (out / CONFIG).is_file():
        raise UsageError(f"{out} holds no loop: `harness distill run` starts one with --out")
    numbered = (path for path in (out / "rounds").glob("*") if path.name.isdigit())
    folders = sorted(numbered, key=lambda path: int(path.name))
    return [
        RoundStatus(
            round=int(folder.name),
            stages=tuple(Journal(folder).done().values()),
            decision=read_decision(folder),
        )
        for folder in folders
    ]


def read_decision(folder: Path) -> Decision | None:
    """Return a round's decision, or None where there is none yet."""
    path = folder / DECISION
    return msgspec.json.decode(path.read_bytes(), type=Decision) if path.is_file() else None
