"""Where a killed training goes on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint of Trainer's that was written to its end, None without any.

    Trainer writes a checkpoint in place, its state last, so a kill can leave half of one: those are removed.
    """
    from transformers.trainer_utils import get_last_checkpoint

    while folder.is_dir() and (last := get_last_checkpoint(str(folder))) is not None:
        try:
            json.loads((Path(last) / "trainer_state.json").read_bytes())
        except (OSError, ValueError):
            shutil.rmtree(last)
        else:
            return str(last)
    return None
