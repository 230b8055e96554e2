"""A kill while a checkpoint is being written costs that checkpoint, and no more."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from distill.checkpoints import last_checkpoint

pytestmark = pytest.mark.hf


@pytest.fixture
def checkpoints(tmp_path: Path, require: Any) -> Path:
    require(importlib.util.find_spec("transformers"), "transformers")
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_step": 10}'), (15, '{"glob'), (20, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        if state is not None:
            (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    return tmp_path


def test_the_last_whole_checkpoint_is_gone_on_from(checkpoints: Path) -> None:
    assert last_checkpoint(checkpoints) == str(checkpoints / "checkpoint-10")
    assert sorted(path.name for path in checkpoints.iterdir()) == ["checkpoint-10", "checkpoint-5"]


def test_without_a_whole_one_training_starts_anew(tmp_path: Path, checkpoints: Path) -> None:
    for step in (5, 10):
        (checkpoints / f"checkpoint-{step}" / "trainer_state.json").unlink()
    assert last_checkpoint(checkpoints) is None
    assert last_checkpoint(tmp_path / "none") is None
