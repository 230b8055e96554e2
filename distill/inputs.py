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
from distill.question_sources import GENERATORS, LISTS, is_file, listed
from distill.questions import QuestionsBy, QuestionsConfig, see_that_none_is_a_test
from distill.semantics import SemanticSearch
from distill.shots import see_that_they_can_be_shown
from distill.task_files import see_that_it_can_be_written
from harness import (
    Benchmark,
    GenerationSettings,
    NumberTests,
    Prompt,
    StoreMismatch,
    UsageError,
    find_checkpoint,
    load_benchmark,
    open_model,
    rules_for,
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
    if config.questions.semantic:
        SemanticSearch(config.questions.semantic)
    measured = load_benchmark(config.tasks)
    rules_for(config.protocol, measured)
    see_questions(config.questions, measured)
    _see_protocols(config, measured)
    if shots := config.teacher.shots:
        tests = [task for name in config.questions.apart_from for task in load_benchmark(name).tasks]
        see_that_they_can_be_shown(Path(shots), config.teacher.select_shots, [*measured.tasks, *tests])
    _see_files(config, out / INPUTS, begun)


def _see_protocols(config: LoopConfig, measured: Benchmark) -> None:
    """Raise UsageError for a protocol that does not fit the questions."""
    source = config.questions.source
    if generator := GENERATORS.get(source):
        tier = static_tiers(measured).tasks[0].tier
        first = next(iter(generator.draw(0, 1, (tier,), None))).task
    else:
        first = listed(source)[0].task
    questions = Benchmark(name="questions", tasks=(first,), digest="", source=source)
    rules_for(config.protocol, questions)
    asked = rules_for(config.teacher.protocol or config.protocol, questions).prompt(first)
    if config.teacher.shots and not isinstance(first.tests, NumberTests):
        raise UsageError(f"teacher.shots are for questions with numbers, and {source} has no such: leave it out")
    if config.logits and config.logits.teacher_prompt and not isinstance(asked, str):
        raise UsageError("logits.teacher_prompt: the teacher's protocol has it answer a chat, which no student goes on")


def see_questions(config: QuestionsConfig, measured: Benchmark) -> None:
    """Raise UsageError unless questions of that source can be asked, LeakageError for tests among them."""
    apart = [load_benchmark(name) for name in config.apart_from]
    tiers = {one.tier for one in static_tiers(measured).tasks}
    if generator := GENERATORS.get(config.source):
        for tier in sorted(tiers):
            try:
                generator.families(tier)
            except ValueError as error:
                raise UsageError(
                    f"questions.source {config.source}: {measured.name} has other tiers ({error})"
                ) from error
        return
    tasks = [question.task for question in listed(config.source)]
    for benchmark in (measured, *apart):
        see_that_none_is_a_test(tasks, benchmark.tasks, config.source)
    for task in tasks:
        see_that_it_can_be_written(task)
    some = config.feedback in (QuestionsBy.WEAK_TIERS, QuestionsBy.RANDOM_TIER) and not config.replay
    there = {task.tier or "" for task in tasks}
    if not some and isinstance(config.count, int) and (missing := sorted(tiers - there)):
        raise UsageError(
            f"{config.source} has no questions of the tier {missing[0]}, which {measured.name} has: it has "
            f"{', '.join(sorted(there))}"
        )


def _see_files(config: LoopConfig, path: Path, begun: bool) -> None:
    """See that the files are those that the loop began with, and write down which they are."""
    source, answers = config.questions.source, config.teacher.samples
    named = {"questions.source": source if is_file(source) else None, "teacher.samples": answers}
    named["teacher.shots"] = config.teacher.shots
    digests = {key: _digest_of(Path(name)) for key, name in named.items() if name}
    if source in LISTS:
        named["questions.source"], digests["questions.source"] = source, LISTS[source]().digest
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
