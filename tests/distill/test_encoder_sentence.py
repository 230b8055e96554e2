"""An encoder's folder as a model of sentence-transformers, which has an environment of its own: `make sentence`.

It brings scikit-learn, which every start of transformers would then import, in hundreds of processes of other tests.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("sentence_transformers") is None and os.environ.get("HARNESS_SENTENCE") != "1":
    pytest.skip(
        "needs sentence-transformers, which has an environment of its own: make sentence", allow_module_level=True
    )

import numpy as np
import sentence_transformers

from distill.encoder_files import save_encoder
from tests.distill.made_encoders import TEXTS, small_encoder

pytestmark = [pytest.mark.hf, pytest.mark.slow]


def test_sentence_transformers_gives_the_same_embeddings_at_each_exit(tmp_path: Path) -> None:
    model, tokenizer = small_encoder(query_instruction="find: ")
    save_encoder(model, tokenizer, tmp_path / "ours")
    theirs = sentence_transformers.SentenceTransformer(str(tmp_path / "ours"), trust_remote_code=True, device="cpu")
    texts = list(TEXTS)
    for number in (1, 2, 4):
        ours = model.encode(texts, tokenizer=tokenizer, exit=number)
        assert theirs.encode(texts, exit=number) == pytest.approx(ours, abs=1e-6)
    asked = model.encode(texts, tokenizer=tokenizer, instruction="find: ")
    assert theirs.encode(texts, prompt_name="query") == pytest.approx(asked, abs=1e-6)
    assert theirs.get_embedding_dimension() == 16
    theirs.save(str(tmp_path / "theirs"))
    again = sentence_transformers.SentenceTransformer(str(tmp_path / "theirs"), trust_remote_code=True, device="cpu")
    assert np.array_equal(again.encode(texts, exit=2), theirs.encode(texts, exit=2))
