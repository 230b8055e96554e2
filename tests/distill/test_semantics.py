"""Decontamination by meaning: what no other kind finds, at the exit that is asked for, and in the place of none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from distill.decontaminate import LeakRules, decontaminate
from distill.decontaminate_command import decontaminate as command
from distill.lesson_stage import compared_with_tests
from distill.loop import LoopConfig, Machine
from distill.round_runs import RoundRuns
from distill.semantics import SemanticRules
from distill.texts import TrainingText, programs_in
from harness import NoProgress, UsageError
from tests.distill import made_lessons

TASK = {
    "task_id": "Own/1",
    "entry_point": "digit_gap",
    "prompt": 'def digit_gap(n):\n    """Return the difference between the largest and the smallest decimal digit'
    ' of a positive whole number.\n    >>> digit_gap(382)\n    6\n    """\n',
    "canonical_solution": "    digits = [int(c) for c in str(n)]\n    most = max(digits)\n"
    "    least = min(digits)\n    return most - least\n",
    "test": "def check(candidate):\n    assert candidate(382) == 6\n    assert candidate(7) == 0\n",
}
# The same words in another order, so that no five of them stand together as in the test.
SHUFFLED = "Of a positive number, whole: the decimal digit that is smallest and the largest, the difference, return."
CHANGED = (
    "def spread(n):\n    digits = [int(c) for c in str(n)]\n    least = min(digits)\n    print(n)\n"
    "    most = max(digits)\n    return most - least\n"
)
CLEAN = "Count how many words of a sentence begin with an upper case letter.\n\ndef f(s):\n    return s.title() == s\n"
LONG = "Much is said of other things here, and at great length. " * 40
HIDDEN = f"{LONG}\n\n# {SHUFFLED}\nx = 1\n"
BAGS = SemanticRules(model="bag-of-tokens", threshold=0.8)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tasks") / "own.jsonl"
    path.write_text(json.dumps(TASK) + "\n")
    return str(path)


def text(words: str, name: str) -> TrainingText:
    return TrainingText(name=name, text=words, programs=programs_in(words))


def by_meaning(rules: SemanticRules | None) -> LeakRules:
    return LeakRules(run=False, semantic=rules)


@pytest.mark.parametrize("words", [SHUFFLED, CHANGED, HIDDEN], ids=["words", "code", "long"])
def test_what_means_the_same_in_other_words_leaks_by_its_meaning_alone(words: str, tasks: str) -> None:
    texts = [text(words, "near"), text(CLEAN, "far")]
    assert decontaminate(texts, [tasks], by_meaning(None)).leaks == ()
    found = decontaminate(texts, [tasks], by_meaning(BAGS))
    assert [(leak.text, leak.task_id, leak.kind.value) for leak in found.leaks] == [("near", "Own/1", "semantic")]
    assert found.left_out == ("near",)
    assert found.leaks[0].evidence.startswith("cosine 0.")
    (checked,) = found.benchmarks
    assert checked.semantic is not None
    assert (checked.semantic.model, checked.semantic.exit, checked.semantic.test_functions) == ("bag-of-tokens", 0, 1)
    assert 0.8 <= (checked.semantic.nearest or 0) < 1


def test_it_takes_the_place_of_no_other_kind(tasks: str) -> None:
    copied = TrainingText(name="copy", text=TASK["prompt"], programs=(), question="Own/1")
    strict = SemanticRules(model="bag-of-tokens", threshold=1.0)
    found = decontaminate([copied, text(SHUFFLED, "near")], [tasks], by_meaning(strict))
    assert {leak.kind.value for leak in found.leaks if leak.text == "copy"} == {"id", "ngrams"}
    assert found.left_out == ("copy",)


def test_an_exit_or_a_model_that_is_not_there_is_said_so(tasks: str) -> None:
    with pytest.raises(UsageError, match="exit 2: bag-of-tokens has no such exit"):
        decontaminate([], [tasks], by_meaning(SemanticRules(model="bag-of-tokens", threshold=0.5, exit=2)))
    with pytest.raises(ValueError, match="bm25: its scores are no cosines; name an encoder"):
        SemanticRules(model="bm25", threshold=0.5)
    with pytest.raises(ValueError, match=r"threshold 1\.2: a cosine"):
        SemanticRules(model="bag-of-tokens", threshold=1.2)


def test_the_command_writes_what_is_far_from_every_test(tasks: str, tmp_path: Path) -> None:
    file, out = tmp_path / "train.jsonl", tmp_path / "clean.jsonl"
    file.write_text("".join(json.dumps({"text": words}) + "\n" for words in (SHUFFLED, CLEAN)))
    given = [str(file), "--tasks", tasks, "--no-run", "--out", str(out), "--semantic", "bag-of-tokens"]
    ran = CliRunner().invoke(command, [*given, "--semantic-threshold", "0.8"])
    assert ran.exit_code == 0, ran.output
    assert "by meaning, exit 0 of bag-of-tokens: cosines of 0." in ran.output
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == [CLEAN]
    for wrong, said in ((given, "needs --semantic-threshold"), ([*given[:-2], "--semantic-exit", "1"], "give that")):
        error = CliRunner().invoke(command, wrong).exception
        assert isinstance(error, UsageError)
        assert said in str(error)


def test_a_loop_leaves_lessons_out_by_their_meaning(tasks: str, tmp_path: Path) -> None:
    questions = {"semantic": {"model": "bag-of-tokens", "threshold": 0.8}}
    plain = {"student": "s", "tasks": tasks, "teacher": {"model": "canonical"}, "training": {"steps": 1}}
    config = msgspec.convert({**plain, "questions": questions}, LoopConfig)
    machine = Machine(sandbox="auto", workers=1, progress=NoProgress, say=print)
    runs = RoundRuns(config=config, folder=tmp_path, student="s", seed=1, machine=machine)

    lessons = [made_lessons.lesson(words, " Yes.", task_id=name) for name, words in (("A", SHUFFLED), ("B", LONG))]
    found = compared_with_tests(runs, lessons)
    assert [one.task_id for one in found.clean] == ["B"]
    assert (found.leaking, found.not_comparable) == (1, 0)
    written = json.loads((tmp_path / "decontamination.json").read_bytes())
    assert written["rules"]["semantic"] == {"model": "bag-of-tokens", "threshold": 0.8, "exit": None}
    assert [leak["kind"] for leak in written["leaks"]] == ["semantic"]


@pytest.mark.slow
@pytest.mark.hf
def test_an_encoder_compares_at_the_exit_that_is_asked_for(tasks: str, tmp_path: Path) -> None:
    if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
    from harness import digest_of, load_benchmark
    from harness.retrieval.programs import description_of
    from tests.distill.made_encoders import small_encoder

    model, tokenizer = small_encoder()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    test = load_benchmark(tasks).tasks[0]
    sides = [description_of(test.reference, test.entry_point), SHUFFLED]
    for exit_layer in (1, 4):
        one, other = model.encode(sides, tokenizer=tokenizer, exit=exit_layer)
        cosine = float(one @ other)
        for threshold, leaking in ((cosine - 1e-4, ["near"]), (min(1.0, cosine + 1e-4), [])):
            rules = SemanticRules(model=str(tmp_path), threshold=threshold, exit=exit_layer)
            found = decontaminate([text(SHUFFLED, "near")], [tasks], by_meaning(rules))
            assert [leak.text for leak in found.leaks] == leaking
            checked = found.benchmarks[0].semantic
            assert checked is not None
            assert checked.nearest == pytest.approx(cosine, abs=1e-5)
            assert (checked.digest, checked.exit) == (digest_of(tmp_path), exit_layer)
