"""Models that transformers runs in this process: a checkpoint folder or a hub id, on the CPU, one GPU or several.

Covers prompts, batches and their order; `checkpoint` finds a model, `loading` loads it, `decoding` decodes a batch,
`scoring` counts what a batch predicts right.
torch and transformers are imported inside functions only, so that the harness starts without them.

What is repeatable: a sample depends on its prompt, its seed and the settings. Neighbours in a batch change its logits
only by rounding, which can flip a near-tie between two tokens: seldom in float32, now and then in bfloat16. Where that
matters, use a batch size of 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from harness.errors import ModelUnavailable
from harness.models.adapter import adapter_digest, add_adapter, find_adapter
from harness.models.checkpoint import digest_of, find_checkpoint, first_line, required, tokenizer_digest_of
from harness.models.decoding import Chooser
from harness.models.endings import Deadline, StopLookout, finish
from harness.models.loading import load_weights
from harness.models.requests import Reader, Request, end_tokens, filler_of
from harness.models.scoring import batches, count_right, read_text, windows
from harness.models.seam import (
    Asked,
    Completion,
    GenerationSettings,
    Prompt,
    TextScore,
    see_that_it_is_unicode,
    see_that_they_make_sense,
)
from harness.reasoning import ReasoningRule
from harness.records import StopReason

# Batches per window: rows of like length share a batch, and completions still come out soon and in order.
_BATCHES_IN_WINDOW = 4
_UNANSWERED = Completion(text="", stop_reason=StopReason.TIME)
_PROMISED = "byte for byte, with the same versions, number of threads and batch size, also when a run was stopped"
_NOT_PROMISED = "not promised: seeds are per sample, but a GPU may round otherwise from run to run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How a model runs: what its numbers depend on beside the weights, its window (None: no limit known), its size."""

    dtype: str
    device: str
    context_tokens: int | None
    parameters: int  # shared ones counted once
    commit: str | None  # of an id on the hub
    quantization: str | None = None

    def recorded(self) -> dict[str, str]:
        """Return what samples depend on, as `run.json` has it."""
        known = {"dtype": self.dtype, "device": self.device, "parameters": str(self.parameters)}
        known["reproducible"] = _PROMISED if self.device == "cpu" else _NOT_PROMISED
        more = {"quantization": self.quantization, "commit": self.commit}
        return known | {name: value for name, value in more.items() if value is not None}


class LocalModel:
    """A causal language model that runs here, through transformers. Make one with `LocalModel.load`."""

    def __init__(
        self, *, name: str, digest: str, runtime: Runtime, model: Any, tokenizer: Any, tokenizer_digest: str
    ) -> None:
        from transformers import GenerationConfig

        self.name = name
        self.digest = digest
        self.runtime = runtime
        self._model = model
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens(model.generation_config, model.config.get_text_config(), tokenizer)
        pad = tokenizer.pad_token_id
        self._pad = pad if pad is not None else min(self._end_tokens, default=0)
        self._reader = Reader(
            name=name,
            tokenizer=tokenizer,
            context=runtime.context_tokens,
            filler=filler_of(tokenizer, self._pad),
            digest=tokenizer_digest,
        )
        self.tokenizer_digest = tokenizer_digest
        self.template_digest = self._reader.template_digest
        # A checkpoint's own sampling defaults (temperature, top-k, penalties, ...) would creep into every call.
        model.generation_config = GenerationConfig()

    @classmethod
    def load(
        cls,
        name: str,
        *,
        dtype: str = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
        revision: str | None = None,
        quantization: str | None = None,
        peft_model: str | None = None,
    ) -> LocalModel:
        """Load a checkpoint: a folder, `org/name` or `org/name@revision`.

        `dtype` is one of `DTYPES` (auto: the checkpoint's own on a GPU, float32 on a CPU), `device` a name of torch's
        (auto: cuda where there is one) or one of `SPREAD`, `quantization` one of `QUANTIZATIONS`, `peft_model` an
        adapter that is added. Raises `MissingDependency` without the packages, `UsageError` for a name or option that
        cannot work, `ModelUnavailable` when the checkpoint or the adapter cannot be fetched or loaded.
        """
        for package in ("torch", "transformers", "accelerate"):
            required(package)
        adapter = None if peft_model is None else find_adapter(peft_model)
        checkpoint = find_checkpoint(name, revision)
        loaded = load_weights(
            str(checkpoint.folder), name, dtype=dtype, device=device, trust=trust_remote_code, quantization=quantization
        )
        runtime = Runtime(
            dtype=str(loaded.model.dtype).removeprefix("torch."),
            device=loaded.device,
            context_tokens=getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None),
            parameters=int(loaded.model.num_parameters()),
            commit=checkpoint.commit,
            quantization=quantization,
        )
        model, digest = loaded.model, digest_of(checkpoint.folder)
        if adapter is not None and peft_model is not None:
            model, digest = add_adapter(model, adapter.folder, peft_model), adapter_digest(adapter.folder, digest)
            name = f"{name}+{peft_model}"
        return cls(
            name=name,
            digest=digest,
            runtime=runtime,
            model=model,
            tokenizer=loaded.tokenizer,
            tokenizer_digest=tokenizer_digest_of(checkpoint.folder),
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that a sample depends on."""
        return {package: version(package) for package in ("torch", "transformers", "tokenizers")}

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield one completion per prompt, in order, a window of some batches at a time.

        A prompt that leaves less room than `most_tokens` gets what room there is, by `max_length` also none. A deadline
        is kept to the token.
        Raises `UsageError` before any work when a prompt leaves none or a setting makes no sense, `ModelUnavailable`
        when the model fails, behind what was written by then; what was not has no text, as at a deadline.
        """
        see_that_they_make_sense(settings)
        requests = self._reader.requests(prompts, settings)
        window = self.together(settings.batch_size)
        for start in range(0, len(requests), window):
            taken = requests[start : start + window]
            completed = {row.place: self._finished(row, []) for row in taken if not row.limit}
            failure = self._complete_window([row for row in taken if row.limit], settings, completed)
            for place in range(start, max(completed, default=start - 1) + 1):
                yield completed.get(place, _UNANSWERED)
            if failure:
                raise failure

    def _complete_window(
        self, requests: list[Request], settings: GenerationSettings, completed: dict[int, Completion]
    ) -> ModelUnavailable | None:
        """Put what is written into `completed`, by place; return what ended it before all was."""
        try:
            for batch in _batches(requests, settings.batch_size, self.runtime.context_tokens):
                completions = self._complete(batch, settings)
                completed.update(zip((row.place for row in batch), completions, strict=True))
        except ModelUnavailable as error:
            return error
        return None

    def asked(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Asked]:
        """Return what the model is asked, in order. Raises `UsageError` for a prompt that `generate` would refuse."""
        return self._reader.asked(prompts, settings)

    def together(self, batch_size: int) -> int:
        """Return how many prompts, in order, are sorted into batches together."""
        return batch_size * _BATCHES_IN_WINDOW

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule that fits its completions of prompts like this; see `Reader.reasoning`."""
        return self._reader.reasoning(prompt)

    def next_token_accuracy(self, texts: Sequence[str], batch_size: int = 8) -> Iterator[TextScore]:
        """Yield one score per text, in order; how a text longer than the context is cut, `scoring` says.

        Raises `UsageError` for a text that is not valid Unicode, `ModelUnavailable` when the model fails.
        """
        see_that_they_make_sense(GenerationSettings(batch_size=batch_size))
        group = batch_size * _BATCHES_IN_WINDOW
        for start in range(0, len(texts), group):
            yield from self._score(texts[start : start + group], batch_size)

    def _score(self, texts: Sequence[str], batch_size: int) -> Iterator[TextScore]:
        for text in texts:
            see_that_it_is_unicode(text, "a text to score")
        read = [read_text(self._tokenizer, text) for text in texts]
        context = self.runtime.context_tokens
        shown = [window for place, one in enumerate(read) for window in windows(place, one, context)]
        right = [0] * len(texts)
        for batch in batches(shown, batch_size):
            with self._failures_said("scoring", len(batch)):
                counts = count_right(self._model, batch, self._pad)
            for window, count in zip(batch, counts, strict=True):
                right[window.place] += count
        for one, count in zip(read, right, strict=True):
            yield TextScore(tokens=one.own, predicted=one.predicted, right=count)

    @contextmanager
    def _failures_said(self, doing: str, rows: int) -> Iterator[None]:
        """Turn what torch raises into `ModelUnavailable`."""
        import torch

        try:
            yield
        except torch.OutOfMemoryError as error:
            raise ModelUnavailable(
                f"{self.name} ran out of memory on {self.runtime.device} with {rows} prompts at once:"
                " use a smaller --batch-size"
            ) from error
        except RuntimeError as error:
            raise ModelUnavailable(f"{self.name} failed while {doing}: {first_line(error)}") from error

    def _complete(self, batch: list[Request], settings: GenerationSettings) -> list[Completion]:
        """Decode one batch, until its last row has come to its limit."""
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        if settings.deadline is not None and time.monotonic() >= settings.deadline:
            return [Completion(text="", stop_reason=StopReason.TIME) for _ in batch]

        prompts = [row.tokens for row in batch]
        width = max(len(tokens) for tokens in prompts)
        # On the left: the first new token has to stand right behind the prompt.
        padded = [[self._pad] * (width - len(tokens)) + tokens for tokens in prompts]
        mask = [[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in prompts]
        chooser = Chooser([row.seed for row in batch], settings.temperature, settings.top_p)
        criteria: list[Any] = [StopLookout(self._tokenizer, batch)]
        if settings.deadline is not None:
            criteria.append(Deadline(settings.deadline))
        with self._failures_said("generating", len(batch)):
            rows = self._model.generate(
                input_ids=torch.tensor(padded, device=self._model.device),
                attention_mask=torch.tensor(mask, device=self._model.device),
                generation_config=GenerationConfig(
                    max_new_tokens=max(row.limit for row in batch),
                    do_sample=False,
                    pad_token_id=self._pad,
                    eos_token_id=sorted(self._end_tokens) or None,
                ),
                logits_processor=LogitsProcessorList([chooser]),
                stopping_criteria=StoppingCriteriaList(criteria),
            )
        return [self._finished(request, row[width:]) for request, row in zip(batch, rows.tolist(), strict=True)]

    def _finished(self, request: Request, output: list[int]) -> Completion:
        return finish(self._tokenizer, request, output, self._end_tokens)


def _batches(requests: list[Request], size: int, context: int | None) -> Iterator[list[Request]]:
    """Group rows of like length, the longest first.

    A batch runs on until its slowest row is done. Where that would push its longest row beyond the last position that
    the model knows, another one begins.
    """
    batch: list[Request] = []
    for request in sorted(requests, key=lambda row: (-len(row.tokens), row.place)):
        too_far = bool(batch) and context is not None and len(batch[0].tokens) + request.limit > context
        if len(batch) == size or too_far:
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch
