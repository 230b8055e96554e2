"""The README is true: its tree names what exists, and its commands and options can be typed.

Figures are not checked here; each stands in docs/results.md with the command that measured it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
FIRST_SCREEN_LINES = 60
PACKAGES = ("sandbox", "harness", "distill", "leaderboards")
ENTRY = re.compile(r"(?P<indent>[\s│├└─]*)(?P<name>[\w.-]+/?)(\s{2,}.*)?")


def code_blocks(text: str) -> list[list[str]]:
    """Return the lines of every fenced block."""
    return [block.splitlines()[1:] for block in re.findall(r"^```(.*?)^```", text, re.DOTALL | re.MULTILINE)]


def tree_entries(block: list[str]) -> Iterator[str]:
    """Yield the paths that a drawn tree names, children below their folder by indentation."""
    folders: list[tuple[int, str]] = []
    for match in filter(None, map(ENTRY.fullmatch, block)):
        indent, name = len(match["indent"]), match["name"]
        folders = [(depth, path) for depth, path in folders if depth < indent]
        path = (folders[-1][1] if folders else "") + name
        yield path
        if name.endswith("/"):
            folders.append((indent, path))


def commands(text: str, program: str) -> list[list[str]]:
    """Return the words after `program` of every fenced line that runs it, settings before it left out."""
    whole = text.replace("\\\n", " ")
    lines = [line.strip().removeprefix("$ ") for block in code_blocks(whole) for line in block]
    words = [re.sub(r"^(\w+=\S* +)+", "", line).split("#")[0].split() for line in lines]
    return [line[1:] for line in words if line[:1] == [program] and len(line) > 1]


@pytest.fixture
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tree_lists_what_exists(readme: str) -> None:
    trees = [block for block in code_blocks(readme) if any(re.match(r"\W*sandbox/", line) for line in block)]
    assert trees, "the README shows no tree of folders"
    entries = [entry for tree in trees for entry in tree_entries(tree)]
    assert [entry for entry in entries if not (ROOT / entry).exists()] == []
    packages = [f"{name}/" for name in PACKAGES if (ROOT / name).is_dir()]
    assert [name for name in packages if name not in entries] == []


def test_make_commands_are_targets(readme: str) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {words[0] for words in commands(readme, "make")} <= set(targets)


def test_the_first_screen_has_the_commands_to_start_with(readme: str) -> None:
    first_screen = "\n".join(readme.splitlines()[:FIRST_SCREEN_LINES]) + "\n```"
    assert commands(first_screen, "make")
    assert commands(first_screen, "harness")


def test_harness_commands_and_options_exist(readme: str) -> None:
    from harness.cli import main

    for name, *rest in commands(readme, "harness"):
        if name.startswith("-"):
            continue
        command = main.get_command(click.Context(main), name)  # those that other packages register, too
        assert isinstance(command, click.Command), f"harness {name}"
        known = {spelling for option in command.params for spelling in [*option.opts, *option.secondary_opts]}
        used = {word.split("=")[0] for word in rest if word.startswith("-")}
        assert used <= known | {"--help"}, f"harness {name}"


def test_relative_links_lead_somewhere(readme: str) -> None:
    links = re.findall(r"\]\((?!\w+:|#)([^)#]+)", readme)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_a_tree_is_read_by_indentation() -> None:
    drawn = ["README.md", "sandbox/   run", "  guest/    inside", "    child.py", "  pool.py", "docs/"]
    paths = ["README.md", "sandbox/", "sandbox/guest/", "sandbox/guest/child.py", "sandbox/pool.py", "docs/"]
    assert list(tree_entries(drawn)) == paths
    assert list(tree_entries(["├── sandbox/    run", "│   └── guest/"])) == ["sandbox/", "sandbox/guest/"]


def test_commands_are_read_from_fenced_blocks_alone() -> None:
    text = "make no\n```\n$ make demo  # a minute\nA=b harness eval \\\n  -n 2\n```\nmake no\n"
    assert commands(text, "make") == [["demo"]]
    assert commands(text, "harness") == [["eval", "-n", "2"]]
