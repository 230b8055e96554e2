"""What a loop takes in, looked at before anything costly is done: models, questions and answers are there, and fit.

Files of questions and of answers stay the same as long as a loop goes on: their digests are kept in its folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from distill.fitting import see_that_peft_is_there
from distill.logits import see_that_tokens_agree
from distill.loop import LoopConfig
from distill.questions import LADDER, QuestionsBy, QuestionsConfig, see_that_none_is_a_test
from harness import (
    Benchmark,
    CheckTests,
    GenerationSettings,
    Prompt,
    StoreMismatch,
    UsageError,
    find_checkpoint,
    ladder_families,
    load_benchmark,
    open_model,
    see_that_it_is_installed,
    static_tiers,
    write_whole,
)

INPUTS = "inputs.json"


def see_inputs(config: LoopConfig, student: str, out: Path, begun: bool) -> None:
    """Raise UsageError or ModelUnavailable for what is missing or does not fit, StoreMismatch for another file.

    `student` is the one to go on with. Until a loop has `begun`, its files may be others than before.
    """
    if config.training.lora:
        see_that_peft_is_there()
    find_checkpoint(student)
    if config.teacher.on_a_server:
        teacher = open_model(config.teacher.name, config.teacher.options)
        text = Prompt(task_id="a text", sample_index=0, text="def", seed=0)  # some servers answer chats alone
        next(teacher.generate([text], GenerationSettings(max_new_tokens=1)))
    elif config.teacher.can_be_asked:
        see_that_it_is_installed(config.teacher.options)
        find_checkpoint(config.teacher.name)
    if config.questions.feedback.needs_probes and config.attempts.views.scorer:
        find_checkpoint(config.attempts.views.scorer)
    if config.logits:
        see_that_tokens_agree(student, config.teacher.name)
    see_questions(config.questions, load_benchmark(config.tasks))
    _see_files(config, out / INPUTS, begun)


def see_questions(config: QuestionsConfig, measured: Benchmark) -> None:
    """Raise UsageError unless questions of that source can be asked, LeakageError for tests among them."""
    tiers = {one.tier for one in static_tiers(measured).tasks}
    if config.source == LADDER:
        for tier in sorted(tiers):
            try:
                ladder_families(tier)
            except ValueError as error:
                raise UsageError(f"questions.source {LADDER}: {measured.name} has other tiers ({error})") from error
        return
    tasks = load_benchmark(config.source).tasks
    see_that_none_is_a_test(tasks, measured.tasks, config.source)
    if other := [task for task in tasks if not isinstance(task.tests, CheckTests)]:
        raise UsageError(f"{config.source}: the tests of {other[0].task_id} are not in HumanEval's format")
    some = config.feedback in (QuestionsBy.WEAK_TIERS, QuestionsBy.RANDOM_TIER) and not config.replay
    there = {task.tier or "" for task in tasks}
    if not some and (missing := sorted(tiers - there)):
        raise UsageError(
            f"{config.source} has no questions of the tier {missing[0]}, which {measured.name} has: it has "
            f"{', '.join(sorted(there))}"
        )


def _see_files(config: LoopConfig, path: Path, begun: bool) -> None:
    """See that the files are those that the loop began with, and write down which they are."""
    named = {"questions.source": config.questions.source, "teacher.samples": config.teacher.samples}
    digests = {key: _digest_of(Path(name)) for key, name in named.items() if name not in (None, LADDER) and name}
    if begun and path.is_file():
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        if changed := [key for key, digest in digests.items() if before.get(key, digest) != digest]:
            raise StoreMismatch(
                f"{named[changed[0]]} ({changed[0]}) is another file than the one that {path.parent} began with: put "
                "that one back, or name another folder with --out"
            )
    write_whole(path, msgspec.json.format(msgspec.json.encode(digests)))


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
