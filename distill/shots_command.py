"""`harness distill shots`: choose solved questions for each question of a benchmark, for `harness eval --shots`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("tasks")
@click.option(
    "--from", "pool", type=click.Path(path_type=Path), required=True, help="Solved questions (.jsonl), to train on."
)
@click.option("--by", default="bm25", show_default=True, help="bm25, bag-of-tokens, an encoder, or random.")
@click.option("--exit", "exit_layer", type=click.IntRange(1), help="The encoder's exit.  [default: the last]")
@click.option("--count", type=click.IntRange(1), default=3, show_default=True, help="How many each question is shown.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of random ones.")
@click.option("--apart-from", default="", metavar="T[,T…]", help="Benchmarks that no solved question may give away.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The file to write (JSON lines).")
def shots(tasks: str, pool: Path, by: str, exit_layer: int | None, count: int, **options: object) -> None:
    """Choose the solved questions that each question of a benchmark is shown: the nearest to it, or random ones.

    What gives a test away is shown to nobody, and no question is shown its own solution.

    \b
    harness distill shots gsm8k --from solved.jsonl --by ./finder --exit 2 --out shots.jsonl
    harness eval --model org/name --tasks gsm8k --shots shots.jsonl
    """
    from distill.shots import ShotSelection, select_shots
    from harness import UsageError, load_benchmark

    try:
        selection = ShotSelection(count=count, by=by, exit=exit_layer)
    except ValueError as error:
        raise UsageError(f"--{error}") from error
    names = (name.strip() for name in str(options["apart_from"]).split(",") if name.strip())
    tests = [task for name in names for task in load_benchmark(name).tasks]
    out, seed = Path(str(options["out"])), int(str(options["seed"]))
    chosen = select_shots(pool, load_benchmark(tasks).tasks, tests, selection, seed, out)
    click.echo(
        f"{out}: {count} for each of {chosen.questions} questions, by {chosen.model}: {chosen.shown} of {chosen.pool} "
        f"solved ones, {len(chosen.left_out)} of which give a test away and are shown to nobody"
    )
