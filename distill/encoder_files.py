"""What stands beside an encoder's checkpoint: the files by which sentence-transformers loads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill.scratch import save

_MODULES = [{"idx": 0, "name": "0", "path": "", "type": "distill.encoder_sentence.ExitEmbedding", "kwargs": ["exit"]}]


def save_encoder(model: Any, tokenizer: Any, folder: Path, dtype: str = "float32") -> None:
    """Write an ordinary checkpoint that sentence-transformers loads too, with its instructions as prompts."""
    save(model, tokenizer, folder, dtype)
    prompts = {"query": model.config.query_instruction or "", "document": model.config.code_instruction or ""}
    how = {"model_type": "SentenceTransformer", "prompts": prompts, "similarity_fn_name": "cosine"}
    for name, content in (("modules.json", _MODULES), ("config_sentence_transformers.json", how)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
