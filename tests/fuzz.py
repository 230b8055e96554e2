"""Fuzz what reads other people's texts, with atheris: `make fuzz SECONDS=600`, or `python tests/fuzz.py --help`.

Each target of `fuzz_targets.py` has a process of its own, and the time is shared between them. What is found is kept
in the corpus (`.fuzz/NAME`) for the next time; an input that breaks a promise, hangs for ten seconds or needs more
than a gigabyte ends the run with exit code 1 and lies in `.fuzz` as `NAME-crash-…`, `-timeout-…` or `-oom-…`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".fuzz"
HANG_SECONDS, MEMORY_MEGABYTES, LONGEST_INPUT = 10, 1024, 1 << 14


def main() -> int:
    """Fuzz every target that was asked for; return 1 if one broke."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from fuzz_targets import SEEDS, TARGETS, WORDS

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together (default: %(default)s)")
    parser.add_argument("--target", choices=list(TARGETS), action="append", help="one of them; may be repeated")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    broken = []
    for name in names:
        corpus = WORK / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[name]):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = WORK / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))
        command = [sys.executable, __file__, "--in-process", name, str(corpus), f"-dict={words}"]
        command += [f"-max_total_time={max(1, options.seconds // len(names))}", f"-timeout={HANG_SECONDS}"]
        command += [f"-rss_limit_mb={MEMORY_MEGABYTES}", f"-max_len={LONGEST_INPUT}"]
        command += [f"-artifact_prefix={WORK}/{name}-", "-print_final_stats=1", "-verbosity=1", "-close_fd_mask=0"]
        print(f"{name}:", flush=True)
        if subprocess.run(command, cwd=WORK, check=False).returncode != 0:
            broken.append(name)
    print(f"broken: {', '.join(broken)}, see {WORK}" if broken else f"nothing broke: {', '.join(names)}")
    return int(bool(broken))


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


def fuzz_in_process(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with atheris.instrument_imports(include=["harness", "sandbox"]):
        from fuzz_targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-process"]:
        fuzz_in_process(sys.argv[2], sys.argv[3:])
    sys.exit(main())
