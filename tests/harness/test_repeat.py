"""`harness eval --repeat`: the same samples from the same run.json, or a line that says what has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("openai", "torch", "transformers"):
        pytest.importorskip(package)

from made_checkpoints import TEXTS, make_dreamer
from made_runs import write_run
from model_server import MODEL, Server, said, serving

from harness.cli import main
from harness.errors import StoreMismatch, UsageError
from harness.model_options import ModelOptions
from harness.repeat import compared, model_of, read_run
from harness.store import PROMPTS, RUN, SAMPLES, read_config

pytestmark = pytest.mark.hf

SAMPLED = ("-n", "3", "--temperature", "0.9", "--seed", "7")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Compute with one thread, as threads that wait for each other take for ever on a machine that is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, the current one, with a model `dreamer` and a file of tasks `tasks.jsonl`."""
    monkeypatch.chdir(tmp_path)
    make_dreamer(tmp_path / "dreamer")
    write_tasks(tmp_path / "tasks.jsonl")
    return tmp_path


def write_tasks(path: Path, word: str = "f") -> None:
    with path.open("w") as file:
        for number in range(7):
            prompt = TEXTS[number % 3][: 4 + 3 * number]
            test = "def check(candidate):\n    assert candidate(1) == 1\n"
            row = {
                "task_id": f"T/{number}",
                "prompt": f"def {word}(x):  # {prompt!r}\n",
                "entry_point": word,
                "test": test,
            }
            file.write(json.dumps(row | {"canonical_solution": "    return x\n"}) + "\n")


def run(*arguments: str) -> str:
    """Run `harness eval` on the command line and return what it prints on standard output."""
    result = CliRunner().invoke(main, ["eval", *arguments], standalone_mode=False)
    if isinstance(result.exception, UsageError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def wrote(out: str, *how: str) -> Path:
    common = ("--model", "dreamer", "--tasks", "tasks.jsonl", "--max-new-tokens", "24", "--batch-size", "2")
    run(*common, "--generate-only", "--out", out, *how)
    return Path(out)


def again(path: str, out: str, *more: str) -> str:
    return run("--repeat", path, "--generate-only", "--out", out, *more)


@pytest.mark.slow
@pytest.mark.parametrize("how", [("--greedy",), SAMPLED])
def test_the_same_run_json_gives_the_same_samples(place: Path, how: tuple[str, ...]) -> None:
    first = wrote("first", *how)
    printed = again("first", "second")
    total = 7 * (3 if how == SAMPLED else 1)
    assert f"{total} of {total} samples are byte for byte those of first. Reproducible: byte for byte" in printed
    for name in (SAMPLES, PROMPTS):
        assert (Path("second") / name).read_bytes() == (first / name).read_bytes()
    assert len({json.loads(line)["completion"] for line in (first / SAMPLES).read_text().splitlines()}) > 5
    shutil.copy(first / RUN, "alone.json")
    Path("moved").mkdir()
    shutil.move("alone.json", "moved/run.json")  # no samples beside it
    assert "no samples any more to compare" in again("moved/run.json", "third")
    assert Path("third", SAMPLES).read_bytes() == (first / SAMPLES).read_bytes()


@pytest.mark.slow
def test_a_run_that_is_stopped_in_the_middle_comes_out_the_same(place: Path) -> None:
    # With bfloat16 rounding shows: other neighbours in a batch make other samples.
    first = wrote("first", "--dtype", "bfloat16", *SAMPLED)
    whole = (first / SAMPLES).read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in (1, 5, 11, 20):
        out = Path(f"stopped-{kept}")
        shutil.copytree(first, out)
        (out / SAMPLES).write_bytes(b"".join(lines[:kept]) + lines[kept][:30])
        assert "21 of 21 samples" in again("first", str(out))
        assert (out / SAMPLES).read_bytes() == whole


def test_neighbours_do_change_samples_where_rounding_shows(place: Path) -> None:
    from harness.models.local import LocalModel
    from harness.models.seam import GenerationSettings, Prompt

    model = LocalModel.load("dreamer", device="cpu", dtype="bfloat16")
    prompts = [Prompt(task_id="T", sample_index=i, text=TEXTS[i % 3][: 5 + i], seed=i) for i in range(21)]
    settings = GenerationSettings(max_new_tokens=24, temperature=0.9, batch_size=2)
    whole = [one.text for one in model.generate(prompts, settings)]
    rest = [one.text for one in model.generate(prompts[5:], settings)]
    assert rest != whole[5:], "else the test before this one shows nothing"


def change_weights() -> None:
    from safetensors.torch import load_file, save_file

    path = "dreamer/model.safetensors"
    tensors = load_file(path)
    tensors["model.norm.weight"] += 1
    save_file(tensors, path, metadata={"format": "pt"})


def change_json(path: str, **changes: Any) -> None:
    content = json.loads(Path(path).read_text())
    Path(path).write_text(json.dumps({**content, **changes}))


def change_a_program() -> None:
    path = Path("first", SAMPLES)
    first, *others = path.read_text().splitlines()
    changed = json.dumps({**json.loads(first), "program": "pass"})
    path.write_text("\n".join([changed, *others]) + "\n")


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "data": (
        lambda: write_tasks(Path("tasks.jsonl"), "g"),
        r"dataset_digest was .*; prompts_digest was .*prompts\.jsonl",
    ),
    "weights": (change_weights, "model_digest was"),
    "tokenizer": (lambda: change_json("dreamer/tokenizer_config.json", x=1), "model_digest was .*tokenizer_digest was"),
    "template": (
        lambda: Path("dreamer/chat_template.jinja").write_text("{{ messages[0].content }}"),
        "model_digest was .*template_digest was '', now",
    ),
    "prompts": (
        lambda: change_json("first/run.json", prompts_digest="p"),
        "again as it was: prompts_digest was 'p', now",
    ),
    "stop strings": (lambda: change_json("first/run.json", stop=["x"]), r"again as it was: stop was \('x',\)"),
    "extraction": (change_a_program, "makes another program of the completion for 'T/0'"),
    "how it runs": (
        lambda: change_json("first/run.json", runtime={"dtype": "float64", "device": "cpu", "parameters": "1"}),
        "runtime.dtype was 'float64', now 'float32'; runtime.parameters was '1'",
    ),
}


@pytest.mark.slow
def test_whatever_has_changed_is_named(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    wrote("first", "--greedy")
    kept = tmp_path_factory.mktemp("kept") / "place"
    shutil.copytree(place, kept)
    for name, (change, message) in CHANGES.items():
        change()
        with pytest.raises(StoreMismatch, match=message):
            again("first", "second")
        assert not Path("second").exists(), name
        shutil.copytree(kept, place, dirs_exist_ok=True)
        Path("dreamer/chat_template.jinja").unlink(missing_ok=True)
    assert "7 of 7" in again("first", "second")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "x", "--temperature", "0.5", "--tasks", "mbpp"), "leave --tasks, --temperature out"),
        ((), "with --out"),
        (("--out", "."), "with --out"),
    ],
)
def test_options_that_the_run_has_said_already_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(write_run(tmp_path / "run", {"T/0": [True]}, backend="hf", options=ModelOptions()))
    with pytest.raises(UsageError, match=message):
        run("--repeat", ".", *arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "file"}, "came from a file"),
        ({"origin": "/runs/a"}, "written in another run, /runs/a"),
        ({"options": None}, "an earlier version wrote it"),
        ({"sequential": "alpha 0.05"}, "a sequential gate ended it"),
        ({"time_limit_seconds": 5.0}, "time limit"),
    ],
)
def test_runs_that_cannot_be_done_again_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = write_run(tmp_path / "run", {"T/0": [True]}, **{"backend": "hf", "options": ModelOptions(), **changes})
    for path in (folder, folder / RUN):
        with pytest.raises(UsageError, match=f"cannot be done again: .*{message}"):
            read_run(path)


def test_nothing_of_how_a_model_ran_is_left_to_the_machine(tmp_path: Path) -> None:
    def model(options: ModelOptions, name: str = "org/m", **runtime: str) -> tuple[str, ModelOptions]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        changes = {"options": options, "backend": options.backend, "runtime": runtime, "model": name}
        return model_of(read_config(write_run(folder, {"T/0": [True]}, **changes)))

    found = model(ModelOptions(), dtype="float32", device="cpu", commit="c0ffee")
    assert found == ("org/m", ModelOptions(dtype="float32", device="cpu", revision="c0ffee"))
    adapted = ModelOptions(peft_model="org/a", dtype="bfloat16", device="balanced")
    assert model(adapted, "org/m+org/a", dtype="bfloat16", device="cuda:0, cuda:1") == ("org/m", adapted)
    served = model(ModelOptions(backend="openai"), base_url="http://host/v1")
    assert served == ("org/m", ModelOptions(backend="openai", base_url="http://host/v1"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.mark.slow
def test_an_engine_that_promises_nothing_says_so(place: Path, server: Server) -> None:
    numbers = count()
    server.answer = lambda request: said(f"    return {'x' if 'T' in request['prompt'] else next(numbers)}\n")
    how = ("--backend", "openai", "--base-url", server.base_url, "--batch-size", "1", "--generate-only")
    run("--model", MODEL, "--tasks", "tasks.jsonl", *how, "--out", "first")
    printed = again("first", "second")
    assert (
        "0 of 7 samples are byte for byte those of first, the first that is not is T/0[0]. Reproducible: not" in printed
    )
    change_json("first/run.json", versions={"openai": "0.1"})
    repetition = compared(Path("first"), Path("second"))
    assert repetition is not None
    assert "openai 0.1, now " in repetition.versions[1]


@pytest.mark.slow
def test_a_judged_run_is_judged_again_and_json_stays_alone_on_standard_output(place: Path) -> None:
    run("--model", "canonical", "--tasks", "tasks.jsonl", "--sandbox", "local", "--out", "first")
    report = json.loads(run("--repeat", "first", "--out", "second", "--json"))
    assert (report["outcomes"]["passed"], report["sandbox"]) == (7, "local")
