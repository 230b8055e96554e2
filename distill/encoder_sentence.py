"""The encoder as a model of sentence-transformers: `SentenceTransformer(folder, trust_remote_code=True)`.

`encode(texts, exit=9)` stops at that layer. A prompt (`prompt_name="query"` or `"document"`, or any other one) is the
encoder's instruction and goes between two `<sep>`. The files that make it so are written beside every encoder, with or
without sentence-transformers here; it asks for `trust_remote_code` because this module is not of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentence_transformers.base.modules import InputModule

from distill.encoder import MultiExitEncoder, load_encoder
from distill.encoder_input import packed_texts, padded


class ExitEmbedding(InputModule):
    """Texts in, embeddings of length 1 out, of the exit that `encode` names (`None`: the last)."""

    forward_kwargs = frozenset({"exit"})

    def __init__(self, model: MultiExitEncoder, tokenizer: Any) -> None:
        super().__init__()
        self.auto_model = model
        self.tokenizer = tokenizer
        self.max_seq_length = model.config.max_position_embeddings

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Return a batch of packed texts, which lose their ends where they are too long."""
        rows = packed_texts(self.tokenizer, inputs, self.max_seq_length, prompt)
        return padded(rows, self.tokenizer.pad_token_id)

    def forward(self, features: dict[str, Any], exit: int | None = None, **_: Any) -> dict[str, Any]:
        """Add `sentence_embedding`, and `token_embeddings`, the states that it was made of."""
        mask = features["attention_mask"]
        outputs = self.auto_model(features["input_ids"], mask, exit)
        embedded = self.auto_model.project(outputs.exit_vectors[-1], self.auto_model.exit_place(exit))
        return features | {"token_embeddings": outputs.last_hidden_state, "sentence_embedding": embedded}

    def get_embedding_dimension(self) -> int:
        return int(self.auto_model.config.projection_size)

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write an ordinary checkpoint."""
        self.auto_model.save_pretrained(output_path)
        self.tokenizer.save_pretrained(output_path)

    @classmethod
    def load(cls, model_name_or_path: str, **_: Any) -> ExitEmbedding:
        """Return the encoder of a folder. Raises UsageError for another model."""
        return cls(*load_encoder(Path(model_name_or_path)))
