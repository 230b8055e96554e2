"""The model view: whatever a model writes is read or not read, and nothing it writes raises."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from distill.lessons import LeakageError
from distill.model_view import MAX_CHARACTERS, Answer, assess, read_assessment, scoring_prompt, scoring_rows
from harness import (
    CheckTests,
    Completion,
    GenerationSettings,
    ModelUnavailable,
    Prompt,
    StopReason,
    Task,
    UsageError,
)
from harness.reasoning import ReasoningRule

GOOD = """Analysis: it works, and rule 4 (readability) is met.
Score:
Rule 1. Basic functionality: 2
Rule 2. Boundary check: 0
Rule 3. Requirement coverage: 1
Rule 4. Readability and documentation: 0.5
Rule 5. Coding practices: 1
"""


class Scripted:
    """A model at the harness's seam: says what a prompt's task is given, and refuses what it is told to."""

    name, digest = "scripted", "s" * 64

    def __init__(self, texts: dict[str, str], refused: Sequence[str] = ()) -> None:
        self.texts, self.refused = texts, refused
        self.asked: list[Prompt] = []

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            if prompt.task_id in self.refused:
                raise UsageError(f"{prompt.task_id}: the prompt is too long")
            prompt.text.encode()
        self.asked += prompts
        for prompt in prompts:
            yield Completion(text=self.texts[prompt.task_id], stop_reason=StopReason.STOP)


class Thinking(Scripted):
    """One that thinks before it answers, and says so."""

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        return ReasoningRule.THINK


def answer(task_id: str, program: str = "x = 1\n", split: str = "train") -> Answer:
    tests = CheckTests(source="", remote_names=())
    task = Task(task_id=task_id, prompt=f"Do {task_id}.", entry_point="f", reference="", tests=tests, split=split)
    return Answer(task=task, sample_index=0, program=program)


def rules(*points: str) -> str:
    return "\n".join(f"Rule {number}. Some name: {text}" for number, text in enumerate(points, 1))


@pytest.mark.parametrize(
    ("text", "points", "score"),
    [
        (GOOD, (2, 0, 1, 0.5, 1), 4.5),
        (rules("2", "1", "1", "1", "1"), (2, 1, 1, 1, 1), 6),
        (rules("**2**", "1/1", "0 (of 1)", "½", " 1.0 point"), (2, 1, 0, 0.5, 1), 4.5),
        ("Score: Rule 1. A: 2 / Rule 2. B: 1 / Rule 3. C: 1 / Rule 4. D: 0 / Rule 5. E: 0.5", (2, 1, 1, 0, 0.5), 4.5),
        ("Rule 1 (2 or 0): 0\nRule 2: B (0 or 1): 1\nRule 3 - 1\nrule #4: 0\n- **Rule 5**: 1", (0, 1, 1, 0, 1), 3),
        ("rule 1 says 9 things\nSCORE:\n" + rules("2", "0", "0", "0", "0") + "\nRule 1: 0", (2, 0, 0, 0, 0), 2),
        (rules("99", "1", "1", "1", "-3"), (2, 1, 1, 1, 0), 5),
        (rules("2", "1", "1", "1"), (2, 1, 1, 1, None), None),
        (rules("2", "yes", "1", "nan", "1e400"), (2, None, 1, None, None), None),
        (rules("2", "100%", "N/A", "inf", "v1"), (2, None, None, None, None), None),
        ("", (None,) * 5, None),
        ("I would rather not. 6 points!", (None,) * 5, None),
        ("Score: 6/6", (None,) * 5, None),
    ],
)
def test_points_are_read(text: str, points: tuple[float | None, ...], score: float | None) -> None:
    read = read_assessment(text)
    assert (read.points, read.score) == (points, score)
    assert bool(read.reason) == (score is None or "99" in text)


def test_reasons_say_what_is_missing_and_what_was_cut() -> None:
    assert read_assessment(rules("7", "1", "1", "x")).reason == (
        "rule 1 has 7 points of 2; no points for rule 4; no points for rule 5"
    )


@pytest.mark.parametrize(
    "piece",
    ["rule 1: ", "Rule 1" + "(" * 50, "score", "\n *#>_-", "rule \t", "1.", "((1)", "Rule 1:" + "9" * 99, "\ud800\0½"],
)
def test_reading_takes_linear_time(piece: str) -> None:
    started = time.process_time()
    read_assessment(piece * (5_000_000 // len(piece)))
    assert time.process_time() - started < 2


def test_each_program_is_assessed_with_the_prompt_and_in_order() -> None:
    model = Scripted({"T/0": GOOD, "T/1": "no"})
    views = assess(model, [answer("T/1"), answer("T/0", "y = 2\n```\nRule 1: 2\n")], GenerationSettings())
    assert [view.score for view in views] == [None, 4.5]
    assert [view.text for view in views] == ["no", GOOD]
    assert views[0].model == "scripted"
    assert "Do T/0." in model.asked[1].text
    assert "\n````\ny = 2\n```\nRule 1: 2\n````\n" in model.asked[1].text


def test_a_prompt_that_is_refused_costs_that_view_alone() -> None:
    texts = {f"T/{number}": GOOD for number in range(9)}
    model = Scripted(texts, refused=["T/2", "T/7"])
    views = assess(model, [answer(task_id) for task_id in texts], GenerationSettings())
    assert [number for number, view in enumerate(views) if view.score is None] == [2, 7]
    assert views[7].reason == "T/7: the prompt is too long"
    assert len(model.asked) == 7


def test_a_model_that_fails_is_said_and_not_recorded() -> None:
    class Broken(Scripted):
        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            raise ModelUnavailable("no answer")

    with pytest.raises(ModelUnavailable):
        assess(Broken({}), [answer("T/0")], GenerationSettings())


def test_hostile_programs_make_valid_prompts() -> None:
    text = scoring_prompt("Do $this. \ud800", "x = '\ud800'\n" + "`" * 20 + "\n$program ${fence}")
    text.encode()
    assert "$program ${fence}" in text
    assert text.count("`" * 21) == 2
    assert len(scoring_prompt("a" * 10**6, "b" * 10**6)) < 2 * MAX_CHARACTERS + 3_000


def test_rows_for_a_scoring_model_are_whole_assessments_of_training_tasks() -> None:
    texts = {
        "T/0": GOOD + "Rule 5. Coding practices: 0\n### Next program\n",
        "T/1": rules("2", "1"),
        "T/2": rules("9", "1", "1", "1", "1"),
    }
    answers = [answer(task_id) for task_id in texts]
    views = assess(Scripted(texts), answers, GenerationSettings())
    (row,) = scoring_rows(zip(answers, views, strict=True))
    assert (row.task_id, row.score) == ("T/0", 4.5)
    assert row.completion == GOOD
    assert row.prompt == scoring_prompt("Do T/0.", "x = 1\n")
    with pytest.raises(LeakageError):
        list(scoring_rows([(answer("T/0", split="test"), views[0])]))


def test_what_is_thought_is_no_assessment() -> None:
    thought = f"<think>Perhaps:\n{GOOD.replace('functionality: 2', 'functionality: 1')}</think>\n"
    texts = {"T/0": thought + GOOD, "T/1": thought.removesuffix("</think>\n"), "T/2": GOOD}
    read, unfinished, without = assess(Thinking(texts), [answer(one) for one in texts], GenerationSettings())
    assert (read.text, read.score, without.score) == (GOOD, 4.5, 4.5)
    assert (unfinished.text, unfinished.score) == ("", None)
    (taken_for_it,) = assess(Scripted(texts), [answer("T/0")], GenerationSettings())
    assert taken_for_it.score == 3.5, "of a model that does not think, all is its answer"
