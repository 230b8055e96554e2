"""Write what is generated from the command line's own help: docs/cli.md and tests/cli_surface.json.

`make docs` runs it; tests/test_cli_surface.py fails when either file is stale. Two files, because they are
read differently: the page explains, the surface is the bare list whose growth a reviewer should notice.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cli.md"
SURFACE = ROOT / "tests" / "cli_surface.json"
NAME = "harness"


def contexts(context: click.Context) -> Iterator[click.Context]:
    """Yield a command's context and those of the commands below it, depth first, in the help text's order."""
    yield context
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield from contexts(click.Context(command, info_name=name, parent=context))


def spelling(parameter: click.Parameter, context: click.Context) -> str:
    """Return how a parameter is typed: `--tasks, -t T[,T…]`, `--resume / --no-resume`, `RUN`."""
    metavar = parameter.make_metavar(context)
    if not isinstance(parameter, click.Option):
        return metavar
    text = ", ".join(sorted(parameter.opts, key=len, reverse=True))
    if parameter.secondary_opts:
        text += " / " + ", ".join(parameter.secondary_opts)
    return text if parameter.is_flag or parameter.count else f"{text} {metavar}"


def default(parameter: click.Parameter) -> str:
    """Return a parameter's default for the page, or nothing.

    A default that depends on the machine must say so in words (`show_default="half of the cores"`).
    """
    if isinstance(parameter, click.Option) and isinstance(parameter.show_default, str):
        return parameter.show_default
    value = parameter.default
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return ""
    return f"`{value}`"


def cell(text: str) -> str:
    """Return text as one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def prose(text: str) -> str:
    """Return a click help text as Markdown: paragraphs, and those that click must not wrap as code."""
    parts = []
    for paragraph in inspect.cleandoc(text).split("\f")[0].strip().split("\n\n"):
        verbatim = paragraph.startswith("\b")
        parts.append(f"```\n{paragraph[1:].strip(chr(10))}\n```" if verbatim else paragraph)
    return "\n\n".join(parts)


def section(context: click.Context) -> str:
    """Return one command's part of the page."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {context.command_path}", "", "```", usage, "```"]
    if command.help:
        lines += ["", prose(command.help)]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        lines += ["", "| option | meaning | default |", "|---|---|---|"]
    for option in options:
        meaning = cell(option.help or "") + (" (required)" if option.required else "")
        lines.append(f"| `{cell(spelling(option, context))}` | {meaning} | {cell(default(option))} |")
    return "\n".join(lines)


def page(main: click.Group) -> str:
    """Return docs/cli.md."""
    head = "# The command line\n\nWritten by `make docs` from the commands' own help; do not edit.\n\n"
    return head + "\n\n".join(map(section, contexts(click.Context(main, info_name=NAME)))) + "\n"


def surface(main: click.Group) -> dict[str, list[str]]:
    """Return every command with the sorted list of what it accepts."""
    return {
        context.command_path: sorted(
            spelling(parameter, context) + (" (required)" if parameter.required else "")
            for parameter in context.command.params
        )
        for context in contexts(click.Context(main, info_name=NAME))
    }


def surface_text(main: click.Group) -> str:
    """Return tests/cli_surface.json."""
    return json.dumps(surface(main), indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write both files."""
    from harness.cli import main

    PAGE.write_text(page(main), encoding="utf-8")
    SURFACE.write_text(surface_text(main), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)} and {SURFACE.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
