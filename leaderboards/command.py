"""`harness leaderboard`: registered as an entry point, so that harness/ need not know of it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The folder to write to.")
@click.option("--title", default="Leaderboard", show_default=True, help="The page's title.")
@click.option("--published/--no-published", default=True, show_default=True, help="Add what others reported.")
@click.option("--json", "as_json", is_flag=True, help="Print leaderboard.json instead of the names of the files.")
def leaderboard(runs: tuple[Path, ...], out: Path, title: str, published: bool, as_json: bool) -> None:
    """Write a leaderboard of run folders, or of folders that hold them: a page, Markdown, CSV, LaTeX, JSON.

    Ranks come from paired tests; runs on other data or with another protocol are never ranked against each other.
    """
    from leaderboards.build import build, names

    built = build(runs, out, title, published)
    if built.unfinished:
        click.echo(f"left out, not finished: {names(built.unfinished)}", err=True)
    click.echo(built.document.rstrip() if as_json else "\n".join(str(path) for path in built.files))
