"""r1chat import and quantize as a person runs them: a model to run by name, or one line and nothing left behind."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from r1chat.app.commands import import_model, quantize
from r1chat.app.errors import CommandError, UsageError
from r1chat.app.new_model import check_disk, new_path
from r1chat.serve.models.catalog import local_model
from r1chat.serve.models.gguf.info import read_info
from r1chat.serve.models.gguf.shapes import SHAPES, make_random_gguf
from r1chat.serve.models.random_folder import make_random_folder

Run = Callable[..., subprocess.CompletedProcess[str]]
# About 60 million weights: long enough in the making to be stopped in its midst.
MIDDLING = replace(SHAPES["tiny-qwen2"], n_embd=1024, n_ff=4096, n_layer=4, n_head=16, n_head_kv=4)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The students' folder, empty."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("R1CHAT_MODELS", str(folder))
    return folder


@pytest.fixture(scope="module")
def hf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_folder("tiny-qwen2-256", tmp_path_factory.mktemp("hf"))


@pytest.fixture(scope="module")
def middling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_random_gguf(MIDDLING, tmp_path_factory.mktemp("gguf") / "middling.gguf", "F16")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_folder_runs_by_the_name_it_was_given(r1chat: Run, hf_folder: Path, models: Path) -> None:
    done = r1chat("import", str(hf_folder), "--as", "mine", "--quant", "q6_k", "--json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert card == json.loads((models / "mine.json").read_text())
    assert (card["name"], card["quant"], card["source"]) == ("mine", "Q6_K", str(hf_folder))
    assert card["strings"] >= 1000 and not card["round_trip_failures"]
    assert "quantising" in done.stderr and "\x1b" not in done.stderr
    assert read_info(models / "mine.gguf").name == "mine"
    ran = r1chat("run", "mine", "Hello", "--max-tokens", "4", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["model"] == "mine"
    again = r1chat("import", str(hf_folder), "--as", "mine")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.count("\n") == 1 and again.stderr.rstrip().endswith("--force")
    assert read_info(models / "mine.gguf").file_type == "Q6_K"


def test_ctrl_c_leaves_nothing(hf_folder: Path, models: Path) -> None:
    command = [sys.executable, "-m", "r1chat.app", "import", str(hf_folder), "--as", "mine", "--quant", "q4_k_m"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith("comparing"):
                break
        assert names(models), "nothing had been begun"
        child.send_signal(signal.SIGINT)
        rest = child.stderr.read()
    assert child.returncode == 130
    assert rest.splitlines()[-1].startswith("r1chat: Stopped; nothing was kept.")
    assert names(models) == []


@pytest.mark.parametrize("name", ["demo", "..", ".hidden", "a/b", "", "x" * 97, "m.gguf", "naïve"])
def test_name_that_could_not_be_run_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        new_path(name, force=True)


def test_folder_of_the_hub_is_imported_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--user--tiny"
    snapshot = make_random_folder("tiny-qwen2", repo / "snapshots" / ("0" * 40))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0" * 40)
    assert import_model._folder("user/tiny:safetensors") == snapshot
    with pytest.raises(UsageError, match="There is no folder user/other"):
        import_model._folder("user/other:safetensors")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        import_model._folder(str(snapshot / "config.json"))


def test_what_cannot_be_imported_is_said_in_a_line(r1chat: Run, hf_folder: Path, models: Path, tmp_path: Path) -> None:
    done = r1chat("import", str(tmp_path / "absent"), "--as", "mine")
    assert done.returncode == 2 and "There is no folder" in done.stderr
    config = json.loads((hf_folder / "config.json").read_text())
    (tmp_path / "gemma").mkdir()
    (tmp_path / "gemma" / "config.json").write_text(json.dumps(config | {"model_type": "gemma\x1b[2J\n"}))
    done = r1chat("import", str(tmp_path / "gemma"), "--as", "mine")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "only qwen2 and llama" in done.stderr and "\x1b" not in done.stderr
    odd = tmp_path / "odd folder"
    shutil.copytree(hf_folder, odd)
    (odd / "chat_template.jinja").mkdir()
    done = r1chat("import", str(odd), "--as", "mine")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "chat_template.jinja" in done.stderr and done.stderr.endswith(f"ls -l '{odd}'\n")
    assert names(models) == []


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "a" * 5000, "x/" + "a" * 5000])
def test_path_that_no_system_takes_is_no_folder(name: str) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        import_model._folder(name)


@pytest.mark.parametrize("out", ["a" * 5000, "a" * 5000 + "/m.gguf"])
def test_file_that_no_system_takes_is_said_in_a_line(r1chat: Run, tmp_path: Path, out: str) -> None:
    done = r1chat("quantize", "demo", "--out", f"{tmp_path}/{out}")
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("r1chat: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.model
def test_quantised_demo_is_smaller_and_runs(r1chat: Run, models: Path) -> None:
    done = r1chat("quantize", "demo", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["path"] == str(models / "demo-q4_k_m.gguf")
    assert told["bytes"] == (models / "demo-q4_k_m.gguf").stat().st_size < 0.7 * told["bytes_before"]
    assert (told["from"], told["quant"]) == ("Q8_0", "Q4_K_M")
    assert json.loads((models / "demo-q4_k_m.json").read_text())["quant"] == "Q4_K_M"
    assert "demo-q4_k_m" in r1chat("list").stdout


@pytest.mark.model
def test_quantize_refuses_what_makes_no_sense(r1chat: Run, models: Path, noise_model: Path, tmp_path: Path) -> None:
    cases = [
        (("demo", "--to", "q8_0"), "stored as q8_0 already"),
        ((str(noise_model), "--out", str(noise_model), "--force"), "cannot be written over"),
        ((str(noise_model), "--out", str(tmp_path)), "is a folder"),
        (("demo", "--out", "x.gguf", "--as", "y"), "not allowed with"),
    ]
    for arguments, reason in cases:
        done = r1chat("quantize", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert reason in done.stderr
    assert names(models) == []


def test_split_source_is_counted_whole_and_named_without_its_part(models: Path, tmp_path: Path) -> None:
    shape = SHAPES["tiny-qwen2"]
    parts = [tmp_path / f"m-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    make_random_gguf(replace(shape, n_layer=1), parts[0], "Q8_0")
    make_random_gguf(replace(shape, n_layer=3), parts[1], "Q8_0")
    whole = make_random_gguf(replace(shape, n_layer=3), tmp_path / "whole.gguf", "Q8_0")
    assert quantize._needed(parts[0], "Q4_K_M") == quantize._needed(whole, "Q4_K_M")
    told = local_model(str(parts[0]))
    assert told is not None and list(told.paths) == parts
    args = argparse.Namespace(out=None, name=None, source=str(parts[0]), to="q4_k_m", force=False)
    assert quantize._target(args, parts[0]) == models / "m-q4_k_m.gguf"


def test_damaged_source_is_refused_before_anything_is_written(r1chat: Run, models: Path, noise_model: Path) -> None:
    damaged = models.parent / "damaged.gguf"
    damaged.write_bytes(noise_model.read_bytes()[:-1000])
    done = r1chat("quantize", str(damaged))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "damaged or incomplete" in done.stderr
    assert names(models) == []


@pytest.fixture
def quantizing(models: Path, middling: Path) -> Iterator[subprocess.Popen[str]]:
    """`r1chat quantize` while llama.cpp writes, on one core, and behind whoever is to stop it: else it would be done
    before that.
    """

    def on_one_core() -> None:
        os.nice(10)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    command = [sys.executable, "-m", "r1chat.app", "quantize", str(middling), "--as", "small"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=on_one_core) as child:
        until(lambda: names(models))
        yield child


def until(reached: Callable[[], object], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_quantising_leaves_nothing(quantizing: subprocess.Popen[str], models: Path, number: int) -> None:
    quantizing.send_signal(number)
    _, stderr = quantizing.communicate(timeout=300)
    assert quantizing.returncode == 130
    assert stderr.splitlines()[-1].startswith("r1chat: Stopped; nothing was kept.")
    assert names(models) == []


def has_ended(pid: str) -> bool:
    try:
        return "zombie" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the child in /proc")
def test_child_of_a_killed_quantize_ends_and_takes_its_half_file_along(
    quantizing: subprocess.Popen[str], models: Path
) -> None:
    [child] = Path(f"/proc/{quantizing.pid}/task/{quantizing.pid}/children").read_text().split()
    os.kill(quantizing.pid, signal.SIGKILL)
    until(lambda: has_ended(child))
    assert names(models) == []


def test_full_disk_ends_in_a_line_and_leaves_nothing(hf_folder: Path, models: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    for arguments in (["import", str(hf_folder), "--as", "mine"], ["quantize", "demo"]):
        command = [sys.executable, "-m", "r1chat.app", *arguments]
        done = subprocess.run(command, preexec_fn=no_room, capture_output=True, text=True, check=False)
        last = done.stderr.splitlines()[-1]
        assert (done.returncode, last.endswith(f"df -h {models}")) == (1, True), done.stderr
        assert names(models) == []


def test_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "yet", 1 << 20)
    with pytest.raises(CommandError, match=r"takes up to 1152921504\.6 GB of disk and .* free") as error:
        check_disk(tmp_path / "not" / "yet", 1 << 60)
    assert error.value.status == 1
    assert not (tmp_path / "not").exists()
