"""Untrusted text, made inert for each format: plain, Markdown, CSV, LaTeX, JSON inside a page.

Model names, task ids, programs and evidence come from elsewhere. Every one of them passes `plain` when it is read, and
the function of its format when it is written. HTML has no function here: the templates escape by themselves.
"""

from __future__ import annotations

import json
import re

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
}
# What can begin markup inside a table's cell. A character reference can not, so each becomes one.
_MARKDOWN = {ord(char): f"&#{ord(char)};" for char in "\\`*_[]<>&|~:$@"}
_WWW = re.compile(r"www\.", re.IGNORECASE)
# What spreadsheets take for the beginning of a formula, in full width too.
_FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def plain(text: str, longest: int = 200) -> str:
    """Return text without control, invisible or direction characters (they show as escapes), cut to `longest`.

    Newlines and tabs stay. Lone surrogates become escapes too, so that the text can be written as UTF-8.
    """
    cut = text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
    if cut.isprintable():
        return cut
    cut = cut.replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in cut)


def one_line(text: str, longest: int = 200) -> str:
    """Return text as `plain` does, on one line."""
    return " ".join(plain(text, longest).split())


def markdown(text: str) -> str:
    """Return text for a cell of a Markdown table: no link, code, emphasis, HTML or further cell comes of it."""
    return _WWW.sub(lambda found: found.group().replace(".", "&#46;"), one_line(text).translate(_MARKDOWN))


def csv_cell(text: str) -> str:
    """Return text for a CSV cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def latex(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_LATEX.get(char, char) for char in one_line(text))


def script_json(value: object) -> str:
    """Return a value as JSON that can stand inside a script element: nothing in it ends or opens an element."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def searchable(text: str) -> str:
    """Return text for the attribute that the search box reads, without what a reader of HTML could trip over."""
    return text.translate({ord("<"): " ", ord(">"): " ", ord("&"): " "})
