"""Token accuracy of tiny checkpoints made here, beside what torch gives position by position."""

from __future__ import annotations

import json
import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch
from click.testing import CliRunner
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from harness import EvalConfig, NoProgress, Run, evaluate, load_benchmark, load_run
from harness.cli import main
from harness.errors import ModelUnavailable, UsageError
from harness.models.local import LocalModel
from harness.models.seam import Scorer, TextScore
from harness.sequential import StopRule
from harness.tokens import scored_text

pytestmark = pytest.mark.hf

BOS = "<s>"
CONTEXT = 64
NAME = "tinypy-completion"
TASKS = 10
TEXTS = [scored_text(task) for task in load_benchmark(NAME).tasks[::140]]


def character_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {character: place for place, character in enumerate([BOS, *string.printable])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token=BOS))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    raw.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=BOS, bos_token=BOS)


def word_tokenizer() -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=[BOS], initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator(TEXTS, trainer)
    # As Llama's: a token of its own before every text.
    raw.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 0)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=BOS, bos_token=BOS)


def saved(folder: Path, tokenizer: PreTrainedTokenizerFast, dtype: Any = torch.float32, context: int = CONTEXT) -> Path:
    """Save a model with random weights, so large that a prediction depends on all that stands before it."""
    torch.manual_seed(5)
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 16, "initializer_range": 0.5}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_positions=context, **sizes, **ends))
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def characters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("characters"), character_tokenizer(), context=256)


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("words"), word_tokenizer())


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("short"), character_tokenizer(), context=9)


def one_by_one(folder: Path, tokens: list[int], first: int, context: int) -> int:
    """Return how many tokens from `first` on are the likeliest after those before them, asked one by one.

    A token further on than the context is asked with the tokens that the windows show: those from the start of the
    first window that reaches it.
    """
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    right = start = 0
    for place in range(first, len(tokens)):
        if place - start > context:
            start = place - 1 - context // 2
        with torch.no_grad():
            logits = model(torch.tensor([tokens[start:place]])).logits[0, -1]
        right += int(logits.argmax()) == tokens[place]
    return right


@pytest.mark.slow
def test_a_local_model_is_a_scorer_and_the_authors_way_gives_its_counts(characters: Path) -> None:
    model = LocalModel.load(str(characters), device="cpu")
    assert isinstance(model, Scorer)
    tokenizer = character_tokenizer()
    wanted = [
        TextScore(
            tokens=len(text), predicted=len(text) - 1, right=one_by_one(characters, tokenizer(text).input_ids, 1, 256)
        )
        for text in TEXTS
    ]
    assert list(model.next_token_accuracy(TEXTS)) == wanted
    assert 0 < sum(score.right for score in wanted) < sum(score.predicted for score in wanted)


def test_a_token_that_the_tokenizer_puts_before_gives_the_first_one_a_prediction(words: Path) -> None:
    tokenizer = word_tokenizer()
    scores = list(LocalModel.load(str(words), device="cpu").next_token_accuracy(TEXTS))
    for text, score in zip(TEXTS, scores, strict=True):
        tokens = tokenizer(text).input_ids
        assert tokens[0] == 0
        right = one_by_one(words, tokens, 1, CONTEXT)
        assert score == TextScore(tokens=len(tokens) - 1, predicted=len(tokens) - 1, right=right)


@pytest.mark.slow
def test_a_text_longer_than_the_context_is_predicted_whole_by_windows(short: Path) -> None:
    model = LocalModel.load(str(short), device="cpu")
    tokenizer = character_tokenizer()
    for text, score in zip(TEXTS, model.next_token_accuracy(TEXTS), strict=True):
        assert score.predicted == len(text) - 1
        assert score.right == one_by_one(short, tokenizer(text).input_ids, 1, 9)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batches_change_nothing_and_keep_the_order(characters: Path, short: Path, batch_size: int) -> None:
    for folder in (characters, short):
        model = LocalModel.load(str(folder), device="cpu")
        alone = [score for text in TEXTS for score in model.next_token_accuracy([text], 1)]
        assert list(model.next_token_accuracy(TEXTS, batch_size)) == alone


def test_texts_of_no_or_one_token_have_no_prediction(characters: Path) -> None:
    model = LocalModel.load(str(characters), device="cpu")
    scores = list(model.next_token_accuracy(["", "a", "ab"]))
    assert [(score.tokens, score.predicted) for score in scores] == [(0, 0), (1, 0), (2, 1)]


def test_what_cannot_be_scored_is_said(characters: Path, tmp_path: Path) -> None:
    model = LocalModel.load(str(characters), device="cpu")
    with pytest.raises(UsageError, match="not valid Unicode"):
        list(model.next_token_accuracy(["\ud800"]))
    with pytest.raises(UsageError, match="batch_size"):
        list(model.next_token_accuracy(TEXTS, 0))
    broken = GPT2LMHeadModel.from_pretrained(characters)
    with torch.no_grad():
        broken.transformer.ln_f.weight.fill_(float("nan"))
    broken.save_pretrained(tmp_path)
    character_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match="NaN"):
        list(LocalModel.load(str(tmp_path), device="cpu").next_token_accuracy(TEXTS))


# From the command line


def config(folder: Path, out: Path, **changes: Any) -> EvalConfig:
    return EvalConfig(**{"tasks": (NAME,), "out": out, "model": str(folder), "limit": TASKS, **changes})


def counts(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "token_scores.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_reports_it_with_an_interval_and_keeps_the_counts(characters: Path, tmp_path: Path) -> None:
    words = ["eval", "--model", str(characters), "--tasks", NAME, "--limit", str(TASKS), "--out", str(tmp_path)]
    ran = CliRunner().invoke(main, [*words, "--json"])
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    kept = counts(load_run(tmp_path))
    texts = [scored_text(task) for task in load_benchmark(NAME).tasks[:TASKS]]
    assert [one["characters"] for one in kept] == [one["tokens"] for one in kept] == [len(text) for text in texts]
    assert not any(text.endswith("\n") for text in texts)
    right = sum(one["right"] for one in kept)
    accuracy = report["metrics"]["token_accuracy"]
    assert accuracy["value"] == right / sum(len(text) - 1 for text in texts)
    assert 0 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 1
    assert "edit_similarity" in report["metrics"]
    assert report["tokens"]["scored"] == report["tokens"]["scored_characters"] == sum(map(len, texts))
    shown = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert "token accuracy: " in shown.stdout
    assert "same tokenizer" not in shown.stdout


@pytest.mark.slow
def test_tokens_that_are_no_characters_are_pointed_out(words: Path, tmp_path: Path) -> None:
    (report,) = evaluate(config(words, tmp_path))
    assert 0 < report.tokens.scored < report.tokens.scored_characters
    shown = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert "characters: it compares with that of models with the same tokenizer only" in " ".join(shown.stdout.split())


class Killed(NoProgress):
    """Dies behind some steps of the scoring."""

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._scores = False

    def start(self, title: str, total: int, done: int) -> None:
        self._scores = title.endswith("tokens")

    def step(self, pass_rate: float | None, not_judged: int) -> None:
        self._left -= self._scores
        if self._left < 0:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(
    characters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(config(characters, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        evaluate(config(characters, tmp_path / "killed"), Killed(3))
    path = tmp_path / "killed" / "token_scores.jsonl"
    assert len(path.read_text().splitlines()) == 4
    assert not (tmp_path / "killed" / "report.json").exists()
    with path.open("a") as file:
        file.write('{"task_id":"Tiny')
    scored: list[int] = []
    unpatched = LocalModel.next_token_accuracy

    def counted(model: LocalModel, texts: Sequence[str], batch_size: int) -> Any:
        scored.append(len(texts))
        return unpatched(model, texts, batch_size)

    monkeypatch.setattr(LocalModel, "next_token_accuracy", counted)
    again = evaluate(config(characters, tmp_path / "killed"))
    assert scored == [TASKS - 4]
    assert again[0].metrics == whole[0].metrics
    assert path.read_text() == (tmp_path / "whole" / "token_scores.jsonl").read_text()
    evaluate(config(characters, tmp_path / "killed", resume=False))
    assert scored == [TASKS - 4, TASKS]


def test_one_model_is_loaded_for_samples_and_scores(
    characters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    unpatched = LocalModel.load

    def counted(name: str, **options: Any) -> LocalModel:
        loads.append(name)
        return unpatched(name, **options)

    monkeypatch.setattr(LocalModel, "load", counted)
    (report,) = evaluate(config(characters, tmp_path))
    assert "token_accuracy" in report.metrics
    assert loads == [str(characters)]


@pytest.mark.slow
def test_samples_of_the_model_have_no_token_accuracy(characters: Path, tmp_path: Path) -> None:
    evaluate(config(characters, tmp_path / "model"))
    rows = [{"task_id": one.task_id, "completion": one.completion} for one in load_run(tmp_path / "model").samples()]
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (report,) = evaluate(config(characters, tmp_path / "samples", model=None, samples=samples))
    assert list(report.metrics) == ["edit_similarity"]
    assert not (tmp_path / "samples" / "token_scores.jsonl").exists()
    assert report.tokens.scored == 0


def test_other_benchmarks_have_none(characters: Path, tmp_path: Path) -> None:
    (report,) = evaluate(config(characters, tmp_path, tasks=("tinypy-execution",)))
    assert report.metrics == {}


def test_the_leaderboard_takes_a_run_with_it(characters: Path, tmp_path: Path) -> None:
    evaluate(config(characters, tmp_path / "run"))
    ran = CliRunner().invoke(main, ["leaderboard", str(tmp_path / "run"), "--out", str(tmp_path / "page")])
    assert ran.exit_code == 0, ran.output
    assert "token_accuracy" in (tmp_path / "page" / "leaderboard.json").read_text()


@pytest.mark.slow
def test_a_sequential_gate_asks_about_passing_alone(characters: Path, tmp_path: Path) -> None:
    evaluate(config(characters, tmp_path / "whole"))
    rule = StopRule(baselines=(load_run(tmp_path / "whole").baseline(),), max_drop=0.02, alpha=0.05, benchmarks=1)
    (report,) = evaluate(config(characters, tmp_path / "gate", until=rule))
    assert list(report.metrics) == ["edit_similarity"]
