"""Encoders of transformers: texts become vectors, and the cosine of two says how well they fit.

A model that has exits of its own (`config.exit_layers` and `encode`, as those of `harness distill`) embeds at each of
them. Any other one embeds at its last layer: the mean of its tokens' states, or the first one's, as
sentence-transformers would by the files in its folder. Architectures that transformers does not know are registered by
other packages, through the entry points `harness.architectures`. torch is imported inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import MeasurementInvalid, ModelUnavailable, UsageError
from harness.model_options import HF, ModelOptions
from harness.models.checkpoint import (
    digest_of,
    find_checkpoint,
    first_line,
    parameters_of,
    required,
    tokenizer_digest_of,
)
from harness.models.loading import load_encoder
from harness.retrieval.pooling import AUTO, Pooling, found_pooling, pooled, stored_prompts
from harness.retrieval.records import Document

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Vectors = NDArray[numpy.float32]

_PROMISED = "byte for byte, with the same versions, number of threads and batch size, also when a run was stopped"
_NOT_PROMISED = "not promised: a GPU may round otherwise from run to run"
_ENDLESS = 10**6  # transformers' "no limit known" is far above it
_UNKNOWN = 512  # tokens of a text where nothing says how many a model reads
_SHIFTED = ("roberta", "camembert", "xlm-roberta")  # whose positions begin behind that of padding
_QUERY, _DOCUMENT = "query", "document"


class Encoder:
    """A model that embeds texts. Make one with `Encoder.load`."""

    backend = HF

    def __init__(self, name: str, folder: Path, model: Any, tokenizer: Any, pooling: Pooling | None) -> None:
        """Take a model in memory; `pooling` is None for one that embeds by itself."""
        self.name = name
        self.digest = digest_of(folder)
        self.tokenizer_digest = tokenizer_digest_of(folder)
        self._model, self._tokenizer, self._pooling = model, tokenizer, pooling
        layers = model.config.get_text_config().num_hidden_layers
        self.exits: tuple[int, ...] = tuple(model.config.exit_layers) if pooling is None else (int(layers),)
        self._context = _context(model, tokenizer)
        self._prompts = stored_prompts(folder)
        if pooling is None:
            own = (model.config.query_instruction, model.config.code_instruction)
            self._prompts = {_QUERY: own[0] or "", _DOCUMENT: own[1] or ""}
        how = {"pooling": "the model's own" if pooling is None else pooling.value}
        size = parameters_of(folder)
        self.runtime = {
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
            "max_tokens": str(self._context),
            **how,
            "reproducible": _PROMISED if str(model.device) == "cpu" else _NOT_PROMISED,
            **({"parameters": str(size)} if size else {}),
            **{f"{kind}_prompt": text for kind, text in self._prompts.items() if text},
        }

    @classmethod
    def load(cls, name: str, options: ModelOptions) -> Encoder:
        """Load the encoder that `name` means: a folder, `org/name` or `org/name@revision`.

        Raises `MissingDependency`, `UsageError` or `ModelUnavailable` as opening any checkpoint does.
        """
        for package in ("torch", "transformers"):
            required(package)
        if options.backend != HF or options.quantization or options.peft_model:
            raise UsageError("an encoder runs by the backend hf, without quantization or adapter: leave them out")
        for point in entry_points(group="harness.architectures"):
            point.load()()
        checkpoint = find_checkpoint(name, options.revision)
        loaded = load_encoder(
            str(checkpoint.folder),
            name,
            dtype=options.dtype,
            device=options.device,
            trust=options.trust_remote_code,
        )
        config, tokenizer = loaded.model.config, loaded.tokenizer
        if config.is_encoder_decoder:
            raise UsageError(f"{name} has a decoder behind its encoder, and no vector for a text: name an encoder")
        if tokenizer.pad_token_id is None:
            if tokenizer.eos_token_id is None:
                raise UsageError(f"{name} has no token to fill texts up with: set pad_token in its tokenizer")
            tokenizer.pad_token = tokenizer.eos_token  # which no mask lets anything see
        has_own = hasattr(config, "exit_layers") and hasattr(loaded.model, "encode")
        if has_own and options.pooling != AUTO:
            raise UsageError(f"{name} pools in a way of its own: leave --pooling out")
        way = None if has_own else found_pooling(checkpoint.folder, name, options.pooling)
        encoder = cls(name, checkpoint.folder, loaded.model, loaded.tokenizer, way)
        if checkpoint.commit:
            encoder.runtime["commit"] = checkpoint.commit
        return encoder

    def versions(self) -> dict[str, str]:
        return {package: version(package) for package in ("torch", "transformers", "tokenizers")}

    def place(self) -> tuple[str, int]:
        import torch

        return str(self._model.device), int(torch.get_num_threads())

    def index(self, documents: Sequence[Document], exit: int, batch_size: int) -> _Vectors:
        def embed_queries(texts: Sequence[Document]) -> Vectors:
            return self._embed(texts, exit, batch_size, _QUERY)

        return _Vectors(self._embed(documents, exit, batch_size, _DOCUMENT), embed_queries)

    def _embed(self, texts: Sequence[Document], exit: int, batch_size: int, side: str) -> Vectors:
        """Return a row of length 1 per text. Texts with the same prompt are embedded together."""
        import numpy

        by_prompt: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            by_prompt.setdefault(self._prompt(text, side), []).append(place)
        rows: list[Any] = [None] * len(texts)
        for prompt, places in by_prompt.items():
            embedded = self._with_less([texts[place].text for place in places], prompt, exit, batch_size)
            for place, row in zip(places, embedded, strict=True):
                rows[place] = row
        return numpy.stack(rows).astype(numpy.float32, copy=False)

    def _prompt(self, text: Document, side: str) -> str:
        """Return what stands before a text: one of ours tells words from code, others tell queries from documents."""
        if self._pooling is None:
            return self._prompts[_DOCUMENT if text.language else _QUERY].replace("{language}", text.language)
        return self._prompts[side]

    def _with_less(self, texts: list[str], prompt: str, exit: int, batch_size: int) -> list[Any]:
        """Embed texts, with half as many at once whenever memory is short. Raises `MeasurementInvalid` at one."""
        try:
            return list(self._embed_batch(texts, prompt, exit, batch_size))
        except (RuntimeError, MemoryError, IndexError) as error:
            if not _is_out_of_memory(error):
                raise ModelUnavailable(f"{self.name} failed while embedding: {first_line(error)}") from error
            if batch_size == 1:
                raise MeasurementInvalid(
                    f"{self.name} ran out of memory on {self._model.device} with one text at once: "
                    "use a machine with more, and run the same command again"
                ) from error
        return self._with_less(texts, prompt, exit, batch_size // 2)

    def _embed_batch(self, texts: list[str], prompt: str, exit: int, batch_size: int) -> Any:
        if self._pooling is None:
            return self._model.encode(
                texts, tokenizer=self._tokenizer, exit=exit, batch_size=batch_size, instruction=prompt or None
            )
        prompted = [prompt + text for text in texts]
        return pooled(self._model, self._tokenizer, prompted, self._pooling, (batch_size, self._context))


class _Vectors:
    def __init__(self, documents: Vectors, embed: Callable[[Sequence[Document]], Vectors]) -> None:
        self._documents = documents
        self._embed = embed

    def scores(self, queries: Sequence[Document]) -> Vectors:
        found: Vectors = self._embed(queries) @ self._documents.T
        return found


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    # On a CPU torch raises a plain RuntimeError: "DefaultCPUAllocator: can't allocate memory".
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def _context(model: Any, tokenizer: Any) -> int:
    """Return how many tokens of a text the model reads; the rest is cut off."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and model.config.model_type in _SHIFTED:
        positions -= 2
    known = [int(limit) for limit in (tokenizer.model_max_length, positions) if limit and limit < _ENDLESS]
    return min(known, default=_UNKNOWN)
