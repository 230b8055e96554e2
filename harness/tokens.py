"""How many tokens of a text a model predicts right, each from the tokens before it: the record, and the accuracy.

Teacher forced: each prediction follows the right tokens, whatever the model said before. What is a token is the model's
own tokenizer's business, so accuracies compare within one tokenizer only; where its tokens are characters, this is the
token completion of the curriculum paper (arXiv 2407.10194), but for its authors' sampling, which is greedy here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

from harness import metrics
from harness.models.seam import Model, Scorer
from harness.records import Benchmark, Estimate, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScore:
    """How well a model predicts a task's text: `predicted` of its `tokens` have a prediction, `right` a right one.

    A text's first token has no prediction, unless the tokenizer puts one of its own before it.
    """

    task_id: str
    tokens: int
    predicted: int
    right: int
    characters: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.predicted <= self.tokens:
            raise ValueError(f"{self.task_id}: {self.right} right of {self.predicted} of {self.tokens} tokens")


def scored_text(task: Task) -> str:
    """Return the text of a task that is scored: the whole reference, without the line ends behind it."""
    return task.reference.rstrip("\n")


def scores_by(
    model: Model, benchmark: Benchmark, tasks: tuple[Task, ...], batch_size: int
) -> Callable[[Container[str]], Iterator[TokenScore]] | None:
    """Return what scores the texts of the tasks that are not in what it is given, if the benchmark wants it.

    None where it does not, or where the model cannot.
    """
    if not (benchmark.scores_tokens and isinstance(model, Scorer)):
        return None
    scorer: Scorer = model

    def pending(stored: Container[str]) -> Iterator[TokenScore]:
        wanted = [task for task in tasks if task.task_id not in stored]
        texts = [scored_text(task) for task in wanted]
        scores = scorer.next_token_accuracy(texts, batch_size)
        for task, text, score in zip(wanted, texts, scores, strict=True):
            yield TokenScore(
                task_id=task.task_id,
                tokens=score.tokens,
                predicted=score.predicted,
                right=score.right,
                characters=len(text),
            )

    return pending


def accuracy(scores: Iterable[TokenScore]) -> Estimate | None:
    """Return the share of right predictions over all texts, with an interval for texts of this kind; None for none."""
    counts = [(score.right, score.predicted) for score in scores if score.predicted]
    return metrics.pooled(counts) if counts else None
