"""Values of a loop's configuration that can change nothing: they are refused, so that none is given in vain."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING

from distill.config import IdleValue
from distill.lessons import FaultSource
from distill.logits import LogitSettings
from distill.pairs import Contrastive
from distill.seeds import QuestionsBy
from distill.teaching import ORACLE, STUDENT, MendingLessons, TeacherConfig
from harness import protocols_with_shots

if TYPE_CHECKING:
    from distill.loop import LoopConfig


def see_that_values_act(config: LoopConfig) -> None:
    """Raise IdleValue for the first value, other than its default, that cannot act beside the others."""
    parts = ("answers", "attempts", "questions", "faults", "keep", "pairs")
    default = SimpleNamespace(**{name: type(getattr(config, name))() for name in parts})
    default.teacher = TeacherConfig(model=STUDENT)
    default.prompt_weight, default.logits = 0.0, LogitSettings()
    for keys, acts, why in _conditions(config):
        for key in keys.split():
            if not acts and attrgetter(key)(config) != attrgetter(key)(default):
                raise IdleValue(key, why)


def _conditions(config: LoopConfig) -> Iterator[tuple[str, bool, str]]:
    """Yield keys, whether they act beside the other values, and why if they do not."""
    feedback, teacher, sources = config.questions.feedback, config.teacher, config.faults.sources
    by_feedback = f"questions.feedback is {feedback}"
    by_tier = feedback in (QuestionsBy.WEAK_TIERS, QuestionsBy.RANDOM_TIER)
    yield "attempts questions.weights questions.widen", feedback.needs_probes, by_feedback
    there = config.questions.created is None
    yield "questions.weights questions.widen", there, "questions.created has per_seed in their place"
    scorer = config.attempts.views.scorer is not None
    yield "attempts.views.max_new_tokens attempts.views.batch_size", scorer, "attempts.views names no scorer"
    yield "questions.replay", by_tier, by_feedback

    writes = teacher.model not in (None, ORACLE)
    yield "teacher.temperature teacher.n_samples teacher.batch_size", writes, f"{teacher.name} is not sampled"
    asking = "teacher.protocol teacher.select_shots teacher.shots"
    yield asking, writes, f"{teacher.name} is not asked"
    yield "teacher.n_samples", not teacher.mends, "a teacher mends a program once"
    yield asking, not teacher.mends, "a teacher that mends has a prompt of its own"
    if teacher.shots is not None:
        protocol, showing = teacher.protocol or config.protocol, protocols_with_shots()
        none = f"the protocol {protocol} shows none, {' and '.join(showing)} do (teacher.protocol)"
        yield "teacher.select_shots teacher.shots", protocol in showing, none

    several = teacher.model is None or teacher.n_samples > 1
    yield "answers.selection", several, "each question has one answer"
    yield "answers.drop_spurious", config.filter_answers, "wrong answers are learnt anyway (filter_answers)"
    yield "answers.cut_off", not config.filter_answers, "an answer that is cut off is not right (filter_answers)"
    yield "keep.max_drop keep.tier_max_drop", not config.keep.always, "every round is kept (keep.always)"

    refines, shown = teacher.mending_lessons is MendingLessons.REFINE, "lessons that show a wrong program"
    yield "faults.sources", not refines, f"{shown} have no other one beside them"
    yield "prompt_weight", not refines, f"the prompts of {shown} count nothing"

    tried = FaultSource.STUDENT in sources or teacher.mends
    asked = tried or FaultSource.TEACHER in sources
    yield "faults.n_samples", tried, "faults.sources has no student"
    yield "faults.temperature", asked, "faults.sources has neither student nor teacher"
    yield "faults.mutants", FaultSource.MUTATION in sources, "faults.sources has no mutation"

    kind, wrong = config.pairs.contrastive, "there are no wrong answers without faults.sources"
    yield "pairs.contrastive pairs.weight pairs.unlikelihood", bool(sources), wrong
    yield "pairs.beta pairs.gamma pairs.dpo_beta", bool(sources), wrong
    yield "pairs.weight", kind is not Contrastive.NONE, f"pairs.contrastive is {kind}"
    yield "pairs.beta pairs.gamma", kind is Contrastive.MARGIN, f"pairs.contrastive is {kind}"
    yield "pairs.dpo_beta", kind is Contrastive.DPO, f"pairs.contrastive is {kind}"
    if config.logits is not None:
        own = teacher.shots is not None or teacher.protocol not in (None, config.protocol)
        yield "logits.teacher_prompt", own, "the teacher is asked as the student is"
    yield "pairs.by_row", config.logits is None, "logits have a loss of their own"
