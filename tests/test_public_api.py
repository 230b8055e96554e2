"""What users may import is listed, sorted, there, and described."""

from __future__ import annotations

import importlib
import importlib.util
import inspect

import pytest

PACKAGES = ["harness", "sandbox"]


def sorting_key(name: str) -> tuple[int, str]:
    """Order as ruff's RUF022 does: constants, then classes, then the rest."""
    bare = name.lstrip("_")
    return (0 if bare.isupper() and len(bare) > 1 else 1 if bare[:1].isupper() else 2, name)


def is_described(value: object) -> bool:
    """Whether a docstring was written for a class, function or module; other values need none."""
    if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
        return True
    text = (value.__doc__ or "").strip()
    was_written_by_dataclass = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return bool(text) and not was_written_by_dataclass


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_unique(package: str) -> None:
    names = importlib.import_module(package).__all__
    assert list(names) == sorted(set(names), key=sorting_key)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_is_that_of_a_module(package: str) -> None:
    # Importing the module anywhere would put it in the place of what the name stands for.
    names = importlib.import_module(package).__all__
    assert [name for name in names if importlib.util.find_spec(f"{package}.{name}")] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist_and_are_described(package: str) -> None:
    module = importlib.import_module(package)
    assert is_described(module)
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert missing == []
    silent = [name for name in module.__all__ if not is_described(getattr(module, name))]
    assert silent == []


def test_every_name_that_is_loaded_later_is_public() -> None:
    import harness

    assert list(harness._LATER) == [name for name in harness.__all__ if name in harness._LATER]
