"""Parsing in several threads at once."""

from __future__ import annotations

import ast
import gc
import threading

from harness.syntax import parse_source

SOURCE = "x = 1\n" * 50
PAUSES = 5


def parse_in_the_middle() -> list[Exception]:
    """Parse while a second thread, from another depth, parses each time that the first one's garbage is collected."""
    failures: list[Exception] = []
    first, turns = threading.current_thread(), [threading.Event() for _ in range(PAUSES)]
    done, left = [threading.Event() for _ in range(PAUSES)], iter(range(PAUSES))

    def between(phase: str, info: dict[str, int]) -> None:
        if threading.current_thread() is first and (place := next(left, None)) is not None:
            turns[place].set()
            done[place].wait(0.1)  # it may have to wait for us

    def others(depth: int) -> None:
        if depth:
            return others(depth - 1)
        for turn, end in zip(turns, done, strict=True):
            turn.wait()
            try:
                parse_source(SOURCE)
            except SystemError as error:
                failures.append(error)
            end.set()

    thread = threading.Thread(target=others, args=(100,))
    thread.start()
    before = gc.get_threshold()
    gc.callbacks.append(between)
    gc.set_threshold(10)
    try:
        parse_source(SOURCE)
    except SystemError as error:
        failures.append(error)
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(between)
        for turn in turns:
            turn.set()
        thread.join()
    return failures


def test_two_threads_parse_one_after_the_other() -> None:
    assert parse_in_the_middle() == []


def test_it_is_the_parser_of_python() -> None:
    assert ast.dump(parse_source(SOURCE)) == ast.dump(ast.parse(SOURCE))


def test_no_warning_about_the_text_comes_out() -> None:
    assert parse_source("x = '\\d'").body  # pytest makes errors of warnings
