"""The command line's options grow only in review: their list is frozen, and the reference page follows it.

`make docs` writes both files. A diff in tests/cli_surface.json is where a new option is argued for.
"""

from __future__ import annotations

import click
import pytest

from docs import generate

STALE = "{} is stale: run `make docs`, read the diff, and commit it"


@pytest.fixture
def main() -> click.Group:
    from harness.cli import main

    assert isinstance(main, click.Group)
    return main


@click.group()
def sample() -> None:
    """A tool."""


@sample.command()
@click.argument("run")
@click.option("--tasks", "-t", metavar="T[,T]", required=True, help="What to\n evaluate | where.")
@click.option("--sandbox", type=click.Choice(["auto", "docker"]), default="auto", help="Which cell.")
@click.option("--workers", type=int, default=3, show_default="one per core", help="How many.")
@click.option("--resume/--no-resume", default=True, help="Go on.")
@click.option("--secret", hidden=True)
def judge(**_: object) -> None:
    """Judge a run.

    \b
    judge one
    judge two
    """


def test_commands_are_those_of_the_contract(main: click.Group) -> None:
    assert {"eval", "tasks", "show", "doctor"} <= set(main.commands)


def test_options_of_every_command_are_frozen(main: click.Group) -> None:
    frozen = generate.SURFACE.read_text(encoding="utf-8")
    assert generate.surface_text(main) == frozen, STALE.format("tests/cli_surface.json")


def test_reference_page_is_current(main: click.Group) -> None:
    written = generate.PAGE.read_text(encoding="utf-8")
    assert generate.page(main) == written, STALE.format("docs/cli.md")


def test_every_command_and_option_says_what_it_is_for(main: click.Group) -> None:
    silent = []
    for context in generate.contexts(click.Context(main, info_name=generate.NAME)):
        if not context.command.help:
            silent.append(context.command_path)
        for parameter in context.command.params:
            if isinstance(parameter, click.Option) and not parameter.help:
                silent.append(f"{context.command_path} {parameter.opts[0]}")
    assert silent == []


def test_surface_lists_every_way_to_type_an_option() -> None:
    assert generate.surface(sample) == {
        "harness": [],
        "harness judge": [
            "--resume / --no-resume",
            "--sandbox [auto|docker]",
            "--secret TEXT",
            "--tasks, -t T[,T] (required)",
            "--workers INTEGER",
            "RUN (required)",
        ],
    }


def test_page_has_help_defaults_and_examples_and_no_hidden_option() -> None:
    page = generate.page(sample)
    assert "## harness judge\n\n```\nharness judge [OPTIONS] RUN\n```\n\nJudge a run." in page
    assert "```\njudge one\njudge two\n```" in page
    assert r"| `--tasks, -t T[,T]` | What to evaluate \| where. (required) |  |" in page
    assert r"| `--sandbox [auto\|docker]` | Which cell. | `auto` |" in page
    assert "| `--workers INTEGER` | How many. | one per core |" in page
    assert "--secret" not in page
