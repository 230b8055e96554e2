"""What `harness tasks` says of a benchmark that is made each time: counted once, and again when something changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.benchmarks import listing, load_benchmark
from harness.benchmarks.listing import Kept, Listed, kept_in, listed
from harness.lines import to_json

OTHER = Listed(name="ladder", tasks=7, digest="another")


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    """Return what there is to say of the ladder, which stands in for what takes long and is made of "this"."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(listing.MADE, "ladder", lambda: "this")
    ladder = load_benchmark("ladder")
    return Listed(name="ladder", tasks=len(ladder.tasks), digest=ladder.digest)


def test_what_was_counted_is_not_counted_again(counted: Listed) -> None:
    assert listed("ladder") == counted
    assert kept_in("ladder").read_text() == to_json(Kept(made_of="this", found=counted))
    kept_in("ladder").write_text(to_json(Kept(made_of="this", found=OTHER)))
    assert listed("ladder") == OTHER


@pytest.mark.parametrize(
    "text",
    [
        to_json(Kept(made_of="that", found=OTHER)),
        to_json(Kept(made_of="this", found=Listed(name="words", tasks=7, digest="another"))),
        to_json(Kept(made_of="this", found=OTHER))[:-9],
    ],
    ids=["made of something else", "another benchmark's", "damaged"],
)
def test_what_does_not_fit_is_counted_again(counted: Listed, text: str) -> None:
    kept_in("ladder").parent.mkdir(parents=True)
    kept_in("ladder").write_text(text)
    assert listed("ladder") == counted
    assert kept_in("ladder").read_text() == to_json(Kept(made_of="this", found=counted))


def test_without_a_place_to_keep_it_it_is_counted(
    counted: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    assert listed("ladder") == counted


@pytest.mark.data
@pytest.mark.parametrize("name", ["mbpp.jsonl", "HumanEvalPlus.jsonl.gz"])
def test_retrieval_is_counted_again_when_a_file_of_it_has_changed(
    name: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of = listing.MADE["retrieval"]
    for one in ("mbpp.jsonl", "HumanEvalPlus.jsonl.gz"):
        shutil.copy(data_dir / one, tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    before = made_of()
    assert made_of() == before
    with (tmp_path / name).open("ab") as file:
        file.write(b"\n")
    assert made_of() != before
