"""Opening the model that `--model` means: which backend runs it, and what it needs for that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.model_options import BATCH_SIZES, OPENAI, VLLM, ModelOptions
from harness.models.checkpoint import find_tokenizer, tokenizer_digest_of
from harness.models.loading import load_words
from harness.models.rendering import see_that_it_chats
from harness.models.requests import reader_of
from harness.models.seam import Closable, Model, Queueing

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.server import ServerModel
    from harness.models.vllm_engine import VllmModel

    AnyModel = LocalModel | ServerModel | VllmModel

_LOG = logging.getLogger(__name__)


class OpenModels:
    """The models of one evaluation: each is opened when it is first asked for, and once. Close it to end them."""

    def __init__(self, options: ModelOptions) -> None:
        self.options = options
        self._open: dict[str, AnyModel] = {}
        self._told: set[str] = set()

    def get(self, name: str) -> AnyModel:
        """Return the model that `--model` means by a name. Raises UsageError or ModelUnavailable."""
        if name not in self._open:
            self._open[name] = _opened(name, self.options)
        return self._open[name]

    def see_that_it_chats(self, name: str) -> None:
        """Raise UsageError for a model on this machine without a chat template, before its weights are loaded."""
        if name not in self._open and self.options.backend != OPENAI:
            folder = find_tokenizer(name, self.options.revision)
            words = load_words(str(folder), name, trust=self.options.trust_remote_code)
            see_that_it_chats(words.tokenizer, name)

    def say_once(self, text: str) -> None:
        """Log a warning, unless it has been logged."""
        if text not in self._told:
            self._told.add(text)
            _LOG.warning("%s", text)

    def close(self) -> None:
        """End what has processes of its own, and let go of all of them."""
        while self._open:
            _, model = self._open.popitem()
            if isinstance(model, Closable):
                model.close()


def open_model(name: str, options: ModelOptions | None = None) -> Model:
    """Return the model that `--model` would take: a checkpoint folder, an id on the hub, a name on a server.

    For callers with prompts of their own; those of a benchmark's tasks are `open_source`'s. Raises UsageError for
    `canonical`, which answers tasks alone, and ModelUnavailable for what cannot be fetched, loaded or reached.
    """
    options = options or ModelOptions()
    if name == "canonical" and options.backend != OPENAI:
        raise UsageError("canonical knows the solutions of a benchmark and answers no other prompt: name a model")
    return _opened(name, options)


def prompts_at_once(model: Model, backend: str) -> int:
    """Return how many prompts or requests a model is best given at once, if nobody says otherwise."""
    return model.at_once if isinstance(model, Queueing) else BATCH_SIZES.get(backend, 1)


def _opened(name: str, options: ModelOptions) -> AnyModel:
    if options.backend == OPENAI:
        return _connect(name, options)
    return _start(name, options) if options.backend == VLLM else _load(name, options)


def _load(name: str, options: ModelOptions) -> LocalModel:
    from harness.models.local import LocalModel

    return LocalModel.load(
        name,
        dtype=options.dtype,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        quantization=options.quantization,
        peft_model=options.peft_model,
    )


def _connect(name: str, options: ModelOptions) -> ServerModel:
    from harness.models.patience import Patience
    from harness.models.server import ServerModel

    reader = None
    if options.tokenizer is not None:
        folder = find_tokenizer(options.tokenizer)
        words = load_words(str(folder), options.tokenizer, trust=options.trust_remote_code)
        reader = reader_of(words, options.tokenizer, context=None, digest=tokenizer_digest_of(folder))
    return ServerModel.connect(name, options.base_url, Patience(request_seconds=options.request_seconds), reader)


def _start(name: str, options: ModelOptions) -> VllmModel:
    from harness.models.vllm_engine import VllmModel

    return VllmModel.load(name, options)
