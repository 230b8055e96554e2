"""`harness distill decontaminate`: check a file of training texts against benchmarks, and write the clean lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness import sandbox_option, workers_option

if TYPE_CHECKING:
    from distill.decontaminate import Decontamination
    from distill.semantics import SemanticRules

LEAKS_FOUND, UNKNOWN = 1, 3
_SHOWN = 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--tasks", "-t", required=True, metavar="T[,T…]", help="Benchmarks, by the names that harness eval --tasks takes."
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Write the lines without leaks here, as they stand.")
@click.option("--run/--no-run", default=True, show_default=True, help="Try the programs on the benchmarks' tests.")
@click.option("--semantic", metavar="MODEL", help="Compare meanings as well, by an encoder or bag-of-tokens.")
@click.option("--semantic-exit", type=click.IntRange(1), help="The encoder's exit.  [default: the last]")
@click.option("--semantic-threshold", type=float, help="The cosine, up to 1, from which on a text leaks.")
@sandbox_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as one JSON document.")
def decontaminate(
    file: Path,
    tasks: str,
    out: Path | None,
    run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find what a file of training texts gives away of benchmarks: by n-grams, programs, behaviour, and by meaning.

    FILE has a JSON object a line: {"messages"}, {"text"}, or {"prompt", "completion"}; other columns are kept.

    Exits with 0 when nothing leaks, or with --out when all that leaks was left out; with 1 when something leaks; with 3
    when it could not be found out for a text (--out leaves it out).
    """
    from distill.decontaminate import LeakRules
    from distill.decontaminate import decontaminate as check
    from distill.texts import read_texts
    from harness import MeasurementInvalid, progress_for, write_whole

    if out:
        _see_that_it_can_be_written(out, file)
    read = read_texts(file)
    names = tuple(name.strip() for name in tasks.split(",") if name.strip())
    cores = options["workers"] or len(os.sched_getaffinity(0))
    rules = LeakRules(run=run, semantic=_semantic_rules(options))
    found = check(read.texts, names, rules, options["sandbox"], cores, progress_for())
    if out and found.machine_failures:
        raise MeasurementInvalid(
            f"{len(found.machine_failures)} comparisons failed because the machine did, not the texts: {out} is not "
            "written. Run the same command again"
        )
    if out:
        left_out = set(found.left_out)
        kept = zip(read.texts, read.lines, strict=True)
        write_whole(out, b"".join(line for text, line in kept if text.name not in left_out))
    if as_json:
        click.echo(found.to_json().decode())
    else:
        print_decontamination(found)
    if not out and found.left_out:
        click.get_current_context().exit(LEAKS_FOUND if found.leaks else UNKNOWN)


def _semantic_rules(options: dict[str, Any]) -> SemanticRules | None:
    """Return how meanings are compared, if at all. Raises UsageError for options that do not go together."""
    from distill.semantics import SemanticRules
    from harness import UsageError

    model, exit_layer, threshold = (options[name] for name in ("semantic", "semantic_exit", "semantic_threshold"))
    if model is None:
        if exit_layer is not None or threshold is not None:
            raise UsageError("--semantic-exit and --semantic-threshold are about --semantic MODEL: give that, too")
        return None
    if threshold is None:
        raise UsageError("--semantic needs --semantic-threshold: a cosine means something else to each model")
    try:
        return SemanticRules(model=model, threshold=threshold, exit=exit_layer)
    except ValueError as error:
        raise UsageError(f"--semantic: {error}") from error


def _see_that_it_can_be_written(out: Path, file: Path) -> None:
    """Raise UsageError for a place where nothing can be written, or that is the very file that is read."""
    from harness import UsageError

    if out.exists() and file.exists() and out.samefile(file):
        raise UsageError(f"--out {out} is the file that is read: name another one, so that nothing is lost")
    if out.is_dir() or not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        raise UsageError(f"cannot write {out}: name a file in a folder that is there, with --out")


def print_decontamination(found: Decontamination) -> None:
    """Print what was checked, the first leaks, and the counts."""
    for one in found.benchmarks:
        ran = one.behaviour
        tried = f", {ran.functions} functions tried ({ran.pairs} pairs) in {ran.seconds:.0f} s" if ran else ", not run"
        click.echo(f"{one.name}: {found.texts} texts against {one.tasks} tasks{tried}")
        if meant := one.semantic:
            near = "nothing" if meant.nearest is None else f"{meant.nearest:.3f} at most"
            click.echo(f"  by meaning, exit {meant.exit} of {meant.model}: cosines of {near}")
        if ran and ran.generic:
            click.echo(f"  not looked for by behaviour, as one operation solves them: {', '.join(ran.generic)}")
    for leak in found.leaks[:_SHOWN]:
        click.echo(f"{leak.text!r} gives {leak.task_id} away ({leak.kind}): {' '.join(leak.evidence.split())[:120]!r}")
    if len(found.leaks) > _SHOWN:
        click.echo(f"and {len(found.leaks) - _SHOWN} more: see --json")
    for unknown in found.unanswered[:_SHOWN]:
        click.echo(f"{unknown.name!r} is not known to be clean of {unknown.task_id}: {unknown.reason}")
    if found.weak:
        click.echo(f"{len(found.weak)} passes of tests that an accident may pass: kept, see --json")
    click.echo(f"{len(found.left_out)} of {found.texts} texts to leave out")
