"""A transformers checkpoint on disk: find it by name, see that it is whole, and name it by its content.

Covers what can be said without loading anything, so nothing here needs torch. Loading and decoding are in `local`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import MissingDependency, ModelUnavailable, UsageError

INSTALL = "pip install 'code-harness[hf]'"

# What a checkpoint is made of. A folder holds more (optimizer state, read-me files, other frameworks' weights), and
# none of that may change the digest.
_PARTS = frozenset({".bin", ".jinja", ".json", ".model", ".py", ".safetensors", ".tiktoken", ".txt"})
_WEIGHTS = frozenset({".bin", ".safetensors"})
_LEFT_BY_TRAINING = frozenset(
    {"optimizer.bin", "scheduler.bin", "trainer_state.json", "training_args.bin"}
    | {"distill.json", "training.json"}  # `harness distill` tells in them where a model comes from, times included
)
_TOKENIZER_NAMES = frozenset({"tokenizer.json", "vocab.json", "vocab.txt"})
_TOKENIZER_SUFFIXES = frozenset({".model", ".tiktoken"})
_TOKENIZER_PARTS = _TOKENIZER_NAMES | {
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt"),
}
_DEMO = Path(__file__).with_name("demo")
_DEMO_NAMES = tuple(f"demo:{name}" for name in ("student", "teacher"))
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint: its folder, and the commit that the hub resolved an id to (None for a user's folder)."""

    folder: Path
    commit: str | None = None


def required(package: str, install: str = INSTALL) -> Any:
    """Import an optional package. Raises `MissingDependency` with the command that installs it."""
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependency(f"a local model needs the package {package} ({error}): {install}") from error


def find_checkpoint(name: str, revision: str | None = None) -> Checkpoint:
    """Find the checkpoint that `name` means.

    That is a folder, `demo:student` or `demo:teacher`, which come with the package, or `org/name` or
    `org/name@revision` on the hub.

    Raises `UsageError` when the name cannot mean a checkpoint or its folder is not whole, `ModelUnavailable` when an id
    can be neither fetched nor found in the hub's local cache.
    """
    if is_folder(name):
        if revision is not None:
            raise UsageError(f"{name} is a folder and has no revision {revision!r}: leave the revision out")
        _see_that_it_is_whole(Path(name), name)
        return Checkpoint(folder=Path(name))
    if name in _DEMO_NAMES:
        if revision is not None:
            raise UsageError(f"{name} comes with this version and has no revision {revision!r}: leave the revision out")
        return Checkpoint(folder=_DEMO / name.removeprefix("demo:"))
    fetched = fetch(name, revision)
    _see_that_it_is_whole(fetched.folder, name)
    return fetched


def find_tokenizer(name: str, revision: str | None = None) -> Path:
    """Return the folder of the tokenizer that `name` means: a folder, `demo:...`, `org/name` or `org/name@revision`.

    No weights are fetched, and a folder needs none. Raises as `find_checkpoint` does.
    """
    if name in _DEMO_NAMES:
        return find_checkpoint(name).folder
    folder = Path(name) if is_folder(name) else fetch(name, revision, suffixes=_PARTS - _WEIGHTS).folder
    if not _has_tokenizer({path.name for path in _parts(folder)}):
        raise UsageError(f"{name} has no tokenizer: save one there with `tokenizer.save_pretrained`")
    return folder


def fetch(name: str, revision: str | None = None, suffixes: frozenset[str] | None = None) -> Checkpoint:
    """Return what the hub has by the id `org/name` or `org/name@revision`, downloaded where needed and possible.

    `suffixes` are those of the files that are wanted (None: all that a checkpoint is made of).

    Raises `UsageError` for what is no id, `ModelUnavailable` when it can be neither fetched nor found in the cache.
    """
    repository, marker, in_name = name.partition("@")
    if _REPOSITORY.fullmatch(repository) is None or (marker and not in_name):
        raise UsageError(
            f"no model {name!r}: it is no folder on this machine, an id reads org/name or org/name@revision, and "
            f"{' and '.join(_DEMO_NAMES)} come with the harness"
        )
    if in_name and revision not in (None, in_name):
        raise UsageError(f"{name} and the revision {revision!r} disagree: give one of them")
    folder = _fetch(repository, in_name or revision, suffixes)
    return Checkpoint(folder=folder, commit=folder.name)


def digest_of(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of a checkpoint's configuration, weights and tokenizer.

    Only the top level counts, in order of name; `.bin` weights do not where there are safetensors, because
    transformers does not read them then. Raises `ModelUnavailable` when a file cannot be read.
    """
    return _digest(_parts(folder), folder)


def tokenizer_digest_of(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of a tokenizer's files, in order of name.

    Its chat template is none of them where that has a file of its own. Raises as `digest_of` does.
    """
    return _digest([path for path in _parts(folder) if _is_tokenizers(path)], folder)


def _digest(paths: list[Path], folder: Path) -> str:
    whole = hashlib.sha256()
    try:
        for path in paths:
            with path.open("rb") as file:
                whole.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    except OSError as error:
        raise ModelUnavailable(f"{folder}: {error.strerror}: {error.filename}") from error
    return whole.hexdigest()


def parameters_of(folder: Path) -> int | None:
    """Return how many parameters a checkpoint's weights have, without loading them.

    None where that is not plain to see: without safetensors, or where the weights are quantized.
    """
    files = [path for path in _parts(folder) if path.suffix == ".safetensors"]
    if not files or "quantization_config" in json.loads((folder / "config.json").read_bytes()):
        return None
    opened = required("safetensors").safe_open
    total = 0
    for path in files:
        with opened(path, framework="np") as tensors:
            names = tensors.keys()  # not a mapping: it cannot be iterated over
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    return total


def is_folder(name: str) -> bool:
    """Say whether a name is that of a folder on this machine."""
    try:
        return Path(name).is_dir()
    except OSError:  # longer than a name can be
        return False


def _parts(folder: Path) -> list[Path]:
    files = [
        path
        for path in folder.iterdir()
        if path.suffix in _PARTS and path.name not in _LEFT_BY_TRAINING and path.is_file()
    ]
    if any(path.suffix == ".safetensors" for path in files):
        files = [path for path in files if path.suffix != ".bin"]
    return sorted(files, key=lambda path: path.name)


def _is_tokenizers(path: Path) -> bool:
    is_code = path.suffix == ".py" and path.name.startswith("tokenization")
    return path.name in _TOKENIZER_PARTS or path.suffix in _TOKENIZER_SUFFIXES or is_code


def _has_tokenizer(names: set[str]) -> bool:
    has_own_code = any(name.startswith("tokenization") for name in names)
    return has_own_code or bool(names & _TOKENIZER_NAMES or {Path(name).suffix for name in names} & _TOKENIZER_SUFFIXES)


def _see_that_it_is_whole(folder: Path, name: str) -> None:
    """Raise `UsageError` where transformers' own message would name a class and no fix."""
    names = {path.name for path in _parts(folder)}
    suffixes = {Path(part).suffix for part in names}
    if "config.json" not in names:
        if "adapter_config.json" in names:
            raise UsageError(
                f"{name} is a PEFT adapter and no model: name its base model, and this with --peft-model, or merge it"
                " into its base model (`merge_and_unload`) and save that"
            )
        raise UsageError(
            f"{name} is no transformers checkpoint, it has no config.json: `model.save_pretrained` writes one"
        )
    if not suffixes & _WEIGHTS:
        raise UsageError(f"{name} has a config.json but no weights (*.safetensors or *.bin): copy them there too")
    if not _has_tokenizer(names):
        raise UsageError(f"{name} has no tokenizer: save it beside the weights with `tokenizer.save_pretrained`")


def _fetch(repository: str, revision: str | None, suffixes: frozenset[str] | None) -> Path:
    """Return the hub's local snapshot folder, downloaded where needed and possible."""
    hub = required("huggingface_hub")
    http_error = import_module("huggingface_hub.errors").HTTPError  # of whichever client this version speaks with
    patterns = [f"*{suffix}" for suffix in sorted((suffixes or _PARTS) - {".bin"})]
    try:
        folder = _snapshot(hub, repository, revision, patterns)
        if suffixes is None and not any(folder.glob("*.safetensors")):
            folder = _snapshot(hub, repository, revision, [*patterns, "*.bin"])
    except (OSError, ValueError, http_error) as error:
        raise ModelUnavailable(
            f"{repository}{'@' + revision if revision else ''} is no folder here and could not be fetched from the hub"
            f" ({first_line(error)}). On a machine without network give the path of a checkpoint folder; for a private"
            " or gated model set HF_TOKEN"
        ) from error
    return folder


def _snapshot(hub: Any, repository: str, revision: str | None, patterns: list[str]) -> Path:
    return Path(hub.snapshot_download(repository, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that says something, for a message of one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
