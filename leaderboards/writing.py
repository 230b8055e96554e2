"""Files appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from leaderboards.runs import Unusable


def write_folder(out: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder: all are written beside it first, then moved in. Raises Unusable."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{out.name or 'leaderboard'}.", dir=out))
    except OSError as error:
        raise Unusable(f"cannot write to {out}: {error.strerror or error}; give another --out") from None
    try:
        for name, text in files.items():
            (aside / name).write_text(text, encoding="utf-8", newline="\n")
        for name in files:
            (aside / name).replace(out / name)
    except OSError as error:
        raise Unusable(f"cannot write to {out}: {error.strerror or error}; give another --out") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_file(path: Path, text: str) -> None:
    """Write one file, as `write_folder` does."""
    write_folder(path.parent, {path.name: text})
