"""Recipes: YAML files that say how to train, shipped in `recipes/` or a user's own. Unknown keys are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness import MissingDependency, UsageError

Config = TypeVar("Config")
_SHIPPED = files("distill") / "recipes"


class IdleValue(ValueError):
    """A value of a configuration that can change nothing beside the others. `key` says which."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} would change nothing: {why}; leave it out")
        self.key = key


def shipped(kind: str) -> tuple[str, ...]:
    """Return the names of the recipes of one kind (`loop`, `pretrain`, `curriculum`), sorted."""
    found = (path.name for path in _SHIPPED.iterdir() if path.name.startswith(f"{kind}-"))
    return tuple(sorted(name.removeprefix(f"{kind}-").removesuffix(".yaml") for name in found))


def chosen(
    kind: str, recipe: str | None, file: Path | None, config: type[Config], changes: Sequence[str] = ()
) -> Config:
    """Return the recipe of that name or of that file: one of the two is given. Raises UsageError otherwise.

    `changes` are like `questions.feedback=none`: a key, from the outermost inwards, and its value as YAML.
    """
    if (recipe is None) == (file is None):
        raise UsageError(f"give either --recipe ({', '.join(shipped(kind))}) or --config FILE")
    found = load_file(file, config) if file else load_recipe(kind, str(recipe), config)
    return with_changes(found, changes)


def with_changes(found: Config, changes: Sequence[str]) -> Config:
    """Return a configuration with single values changed; see `chosen`. Raises UsageError for one that does not fit.

    Other values that can then change nothing (IdleValue) go back to their defaults.
    """
    if not changes:
        return found
    values = msgspec.to_builtins(found)
    given = []
    for change in changes:
        path, sign, text = change.partition("=")
        *outer, last = path.split(".")
        place = values
        for key in outer:
            place = place.get(key) if isinstance(place, dict) else None
        if not sign or not last or not isinstance(place, dict):
            raise UsageError(f"--set {change}: write KEY=VALUE with a key of the configuration, as --dry-run prints it")
        place[last] = _decode(text.encode(), f"--set {change}", object)
        given.append(path)
    while True:
        try:
            return msgspec.convert(values, type(found))
        except msgspec.ValidationError as error:
            idle = error.__cause__
            if not isinstance(idle, IdleValue) or any(_overlap(idle.key, path) for path in given):
                raise UsageError(f"--set {', '.join(changes)}: {str(error).splitlines()[0]}") from error
            _leave_out(values, idle.key)


def _overlap(key: str, other: str) -> bool:
    """Say whether one key is the other or a part of it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


def _leave_out(values: Any, key: str) -> None:
    *outer, last = key.split(".")
    for name in outer:
        values = values[name]
    del values[last]


def load_recipe(kind: str, name: str, config: type[Config]) -> Config:
    """Read a shipped recipe by its name. Raises UsageError with the names there are."""
    if name not in shipped(kind):
        raise UsageError(f"no recipe {name!r}: use one of {', '.join(shipped(kind))}, or give a file with --config")
    return _decode((_SHIPPED / f"{kind}-{name}.yaml").read_bytes(), f"recipe {name}", config)


def load_file(path: Path, config: type[Config]) -> Config:
    """Read a configuration file. Raises UsageError that names file and key for one that does not fit."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    return _decode(content, str(path), config)


def dump(config: object) -> str:
    """Return a configuration as YAML, defaults filled in: what is written beside the outputs."""
    with _yaml_at_hand():
        return msgspec.yaml.encode(config).decode()


def _decode(content: bytes, place: str, config: type[Config]) -> Config:
    with _yaml_at_hand():
        try:
            return msgspec.yaml.decode(content, type=config)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is one
            raise UsageError(f"{place}: {str(error).splitlines()[0]}") from error


@contextmanager
def _yaml_at_hand() -> Iterator[None]:
    """Turn msgspec's complaint that PyYAML is missing, made when it is used, into ours."""
    try:
        yield
    except ImportError as error:
        raise MissingDependency("recipes need PyYAML: pip install 'code-harness[distill]'") from error
