"""Encoders of transformers: texts become vectors, and the cosine of two says how well they fit.

A model that has exits of its own (`config.exit_layers` and `encode`, as those of `harness distill`) embeds at each of
them. Any other one embeds at its last layer: the mean of its tokens' states, or the first one's, as
sentence-transformers would by the files in its folder. Architectures that transformers does not know are registered by
other packages, through the entry points `harness.architectures`. torch is imported inside functions only.
"""

from __future__ import annotations

import json
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
from harness.retrieval.pooling import AUTO, Pooling, found_pooling, pooled
from harness.retrieval.records import Document

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Vectors = NDArray[numpy.float32]

_PROMISED = "byte for byte, with the same versions, number of threads and batch size, also when a run was stopped"
_NOT_PROMISED = "not promised: a GPU may round otherwise from run to run"
_ENDLESS = 10**6  # transformers' "no limit known" is far above it


class Encoder:
    """A model that embeds texts. Make one with `Encoder.load`."""

    backend = HF

    def __init__(self, name: str, folder: Path, model: Any, tokenizer: Any, pooling: Pooling | None) -> None:
        """Take a model in memory; `pooling` is None for one that embeds by itself."""
        self.name = name
        self.digest = digest_of(folder)
        self.tokenizer_digest = tokenizer_digest_of(folder)
        self._model, self._tokenizer, self._pooling = model, tokenizer, pooling
        own_exits = getattr(model.config, "exit_layers", None) if pooling is None else None
        self.exits: tuple[int, ...] = tuple(own_exits or (int(model.config.num_hidden_layers),))
        self._context = _context(model, tokenizer)
        self._prompts = _prompts(folder, model)
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
        has_own = hasattr(loaded.model, "encode")
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
        def embed(texts: Sequence[Document]) -> Vectors:
            return self._embed(texts, exit, batch_size)

        return _Vectors(embed(documents), embed)

    def _embed(self, texts: Sequence[Document], exit: int, batch_size: int) -> Vectors:
        """Return a row of length 1 per text. Texts of one language have one instruction, and are embedded together."""
        import numpy

        by_language: dict[str, list[int]] = {}
        for place, text in enumerate(texts):
            by_language.setdefault(text.language, []).append(place)
        rows: list[Any] = [None] * len(texts)
        for language, places in by_language.items():
            embedded = self._with_less(places, batch_size, texts, (exit, language))
            for place, row in zip(places, embedded, strict=True):
                rows[place] = row
        return numpy.stack(rows).astype(numpy.float32, copy=False)

    def _with_less(
        self, places: Sequence[int], batch_size: int, texts: Sequence[Document], how: tuple[int, str]
    ) -> list[Any]:
        """Embed texts, with half as many at once whenever memory is short. Raises `MeasurementInvalid` at one."""
        import torch

        chosen = [texts[place].text for place in places]
        try:
            return list(self._embed_batch(chosen, how, batch_size))
        except (torch.OutOfMemoryError, MemoryError) as error:
            if batch_size == 1:
                raise MeasurementInvalid(
                    f"{self.name} ran out of memory on {self._model.device} with one text at once: "
                    "use a machine with more, and run the same command again"
                ) from error
        except RuntimeError as error:
            raise ModelUnavailable(f"{self.name} failed while embedding: {first_line(error)}") from error
        return self._with_less(places, batch_size // 2, texts, how)

    def _embed_batch(self, texts: list[str], how: tuple[int, str], batch_size: int) -> Any:
        exit, language = how
        prompt = self._prompts["document" if language else "query"].replace("{language}", language)
        if self._pooling is None:
            return self._model.encode(
                texts, tokenizer=self._tokenizer, exit=exit, batch_size=batch_size, instruction=prompt or None
            )
        return pooled(
            self._model, self._tokenizer, [prompt + text for text in texts], self._pooling, (batch_size, self._context)
        )


class _Vectors:
    def __init__(self, documents: Vectors, embed: Callable[[Sequence[Document]], Vectors]) -> None:
        self._documents = documents
        self._embed = embed

    def scores(self, queries: Sequence[Document]) -> Vectors:
        found: Vectors = self._embed(queries) @ self._documents.T
        return found


def _context(model: Any, tokenizer: Any) -> int:
    """Return how many tokens of a text the model reads; the rest is cut off."""
    limits = [int(tokenizer.model_max_length), getattr(model.config, "max_position_embeddings", None)]
    known = [limit for limit in limits if limit and limit < _ENDLESS]
    if model.config.model_type in ("roberta", "camembert", "xlm-roberta") and len(known) == 2:
        known[1] -= 2  # whose positions begin behind the padding's
    return min(known, default=512)


def _prompts(folder: Path, model: Any) -> dict[str, str]:
    """Return what stands before queries and before programs: the model's own, or sentence-transformers', or nothing."""
    own = {kind: getattr(model.config, f"{name}_instruction", None) for kind, name in _INSTRUCTIONS.items()}
    path = folder / "config_sentence_transformers.json"
    stored: dict[str, str] = {}
    if path.is_file():
        stored = json.loads(path.read_bytes()).get("prompts") or {}
    passage = stored.get("document", stored.get("passage", ""))
    return {"query": own["query"] or stored.get("query", ""), "document": own["document"] or passage}


_INSTRUCTIONS = {"query": "query", "document": "code"}
