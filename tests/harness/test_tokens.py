"""Token accuracy without a model: the record, the total, the windows over long texts, and a model that has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import EvalConfig, PlainProgress, evaluate, load_benchmark
from harness.models.reference import ReferenceModel
from harness.models.scoring import ScoredText, batches, windows
from harness.models.seam import Completion, GenerationSettings, Prompt, Scorer
from harness.records import StopReason
from harness.tokens import TokenScore, accuracy, scored_text


def score(right: int, predicted: int) -> TokenScore:
    return TokenScore(task_id="T", tokens=predicted + 1, predicted=predicted, right=right, characters=predicted + 1)


def test_accuracy_is_over_all_tokens_and_a_text_without_predictions_counts_nothing() -> None:
    found = accuracy([score(9, 10), score(0, 0), score(30, 90)])
    assert found is not None
    assert found.value == pytest.approx(39 / 100)
    assert accuracy([score(0, 0)]) is None
    assert accuracy([]) is None


def test_more_right_than_predicted_is_no_score() -> None:
    with pytest.raises(ValueError, match="3 right of 2"):
        score(3, 2)


def test_the_text_is_the_authors_example_up_to_its_blank_line() -> None:
    task = load_benchmark("tinypy-completion").tasks[0]
    (example,) = [part for part in task.reference.split("\n\n") if part]  # as they part their files
    assert scored_text(task) == example


@given(own=st.integers(0, 40), before=st.integers(0, 2), context=st.none() | st.integers(1, 45))
def test_windows_predict_each_token_once_with_half_a_context_before_it(
    own: int, before: int, context: int | None
) -> None:
    text = ScoredText(tokens=list(range(before + own)), own=own)
    predicted: list[int] = []
    for window in windows(3, text, context):
        assert window.place == 3
        assert len(window.tokens) - 1 <= (context or 100)
        for offset in range(len(window.tokens) - window.scored, len(window.tokens)):
            token = window.tokens[offset]
            assert window.tokens[:offset] == list(range(token - offset, token))
            assert offset == token or offset > (context or 0) // 2
            predicted.append(token)
    first = max(before, 1)
    assert predicted == list(range(first, before + own))
    assert text.predicted == len(predicted)
    if len(text.tokens) <= (context or 100) + 1:
        assert len(list(windows(3, text, context))) == bool(predicted)


def test_batches_hold_every_window_the_longest_first() -> None:
    shown = [
        window for place in range(5) for window in windows(place, ScoredText(tokens=[0] * (place + 2), own=1), None)
    ]
    grouped = list(batches(shown, 2))
    assert [[len(window.tokens) for window in batch] for batch in grouped] == [[6, 5], [4, 3], [2]]


class Silent:
    """A model that writes nothing and scores nothing."""

    name = digest = "silent"

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        return (Completion(text="", stop_reason=StopReason.STOP) for _ in prompts)


def test_a_model_without_logits_is_no_scorer_and_has_no_token_accuracy(tmp_path: Path) -> None:
    assert not isinstance(Silent(), Scorer)
    assert not isinstance(ReferenceModel(load_benchmark("tinypy-completion")), Scorer)
    (report,) = evaluate(EvalConfig(tasks=("tinypy-completion",), out=tmp_path, model="canonical", limit=3))
    assert list(report.metrics) == ["edit_similarity"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == [
        "report.json",
        "run.json",
        "samples.jsonl",
        "verdicts.jsonl",
    ]


def test_progress_on_scoring_says_nothing_of_passing() -> None:
    stream = StringIO()
    with PlainProgress(stream) as progress:
        progress.start("tokens", 1, 0)
        progress.step(None, 0)
    assert "tokens: 1/1" in stream.getvalue()
    assert "passed" not in stream.getvalue()
