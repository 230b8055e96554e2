"""How the states of a text's tokens become one vector, for encoders that do not say it by themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.errors import ModelUnavailable, UsageError

AUTO = "auto"


class Pooling(StrEnum):
    """Which states of the last layer stand for a text."""

    MEAN = "mean"  # of all its tokens
    CLS = "cls"  # that of its first token


POOLINGS = (AUTO, *(one.value for one in Pooling))
_THEIRS = {"pooling_mode_mean_tokens": Pooling.MEAN, "pooling_mode_cls_token": Pooling.CLS}
_KNOWN = frozenset({"Transformer", "Pooling", "Normalize"})  # modules that are computed here


def found_pooling(folder: Path, name: str, wanted: str) -> Pooling:
    """Return the pooling that is asked for, or the one that sentence-transformers' files name; without them the mean.

    Raises UsageError for a model of sentence-transformers with another pooling, or with modules behind it.
    """
    if wanted != AUTO:
        return Pooling(wanted)
    modules = _read(folder / "modules.json")
    if not isinstance(modules, list):
        return Pooling.MEAN
    kinds = {str(one.get("type", "")).rpartition(".")[2]: str(one.get("path", "")) for one in modules}
    if more := sorted(set(kinds) - _KNOWN):
        raise UsageError(
            f"{name} has a {more[0]} behind its pooling, which is not computed here: give --pooling mean or cls to "
            "measure it without"
        )
    how = _read(folder / kinds.get("Pooling", "") / "config.json")
    named = how if isinstance(how, dict) else {}
    modes = [key for key, value in named.items() if key.startswith("pooling_mode_") and value is True]
    mode = str(named.get("pooling_mode", ""))  # as newer versions write it
    if len(modes) == 1 and modes[0] in _THEIRS:
        return _THEIRS[modes[0]]
    if not modes and mode in tuple(Pooling):
        return Pooling(mode)
    raise UsageError(f"{name} pools by {', '.join(modes) or mode or 'nothing known'}: give --pooling mean or cls")


def stored_prompts(folder: Path) -> dict[str, str]:
    """Return what sentence-transformers would put before queries and documents; empty where nothing is named."""
    config = _read(folder / "config_sentence_transformers.json")
    named = config.get("prompts") if isinstance(config, dict) else None
    prompts = named if isinstance(named, dict) else {}
    return {
        "query": str(prompts.get("query") or ""),
        "document": str(prompts.get("document", prompts.get("passage")) or ""),
    }


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error


def pooled(model: Any, tokenizer: Any, texts: Sequence[str], pooling: Pooling, limits: tuple[int, int]) -> Any:
    """Return a float32 array with a row of length 1 per text; `limits` are texts at once, and tokens of a text."""
    import torch

    batch_size, context = limits
    order = sorted(range(len(texts)), key=lambda place: (-len(texts[place]), place))  # those of like length together
    found: dict[int, Any] = {}
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            batch = tokenizer(
                [texts[place] for place in places],
                padding=True,
                padding_side="right",  # else positions that are counted from the left are others in each batch
                truncation=True,
                max_length=context,
                return_tensors="pt",
            ).to(model.device)
            states = model(**batch).last_hidden_state.float()
            vectors = _vectors(states, batch["attention_mask"], pooling)
            rows = torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()
            found |= dict(zip(places, rows, strict=True))
    return [found[place] for place in range(len(texts))]


def _vectors(states: Any, mask: Any, pooling: Pooling) -> Any:
    """Return texts x hidden size, of states that are texts x tokens x hidden size; the mask is zero on padding."""
    if pooling is Pooling.MEAN:
        weights = mask.unsqueeze(-1).float()
        return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)
    return states[:, 0]
