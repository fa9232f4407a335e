"""A stage is done once, and again only where what decides its outcome has changed."""

from __future__ import annotations

import errno
import itertools
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_folders import chat_folder

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.host import Host
from r1chat.distill.pipeline import NAMES, STAGES, run, stale
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS, find_student


@asynccontextmanager
async def no_server(*_: object, **__: object):  # type: ignore[no-untyped-def]
    raise AssertionError("no stage here asks a model")
    yield


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Stages that only write their artifacts, in place of the real ones; the names of those that ran."""
    ran: list[str] = []
    number = itertools.count()
    for stage in STAGES:

        def stand_in(config: DistillConfig, folder: RunFolder, host: Host, stage: Any = stage) -> dict[str, Any]:
            ran.append(stage.name)
            for output in stage.outputs:
                getattr(folder, output).write_text(f"{stage.name} {next(number)}")
            return {}

        module = types.ModuleType("stage")
        module.run_stage = stand_in  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"r1chat.distill.{stage.name}.stage", module)
    yield ran


@pytest.fixture
def again(tmp_path: Path) -> Callable[..., list[str]]:
    """Runs the pipeline on one folder; what was said."""

    def run_it(config: DistillConfig, stages: tuple[str, ...] = NAMES) -> list[str]:
        said: list[str] = []
        run(config, RunFolder(config.run_dir), Host(no_server, lambda *_: tmp_path, said.append), stages)
        return said

    return run_it


def test_a_finished_run_does_nothing_again_and_says_so(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config)
    assert calls == list(NAMES)
    assert again(config) == [f"{name}: already done" for name in NAMES[:-1]]
    assert calls == [*NAMES, "report"], "the report costs nothing, and shows whatever there is by now"


def test_a_student_of_the_hub_is_not_trained_again_for_being_here_now(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it was fetched nobody knew its size."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    stage = sys.modules["r1chat.distill.base.stage"]
    done = stage.run_stage

    def fetch(*asked: Any) -> dict[str, Any]:
        model = tmp_path / "models--some--model"
        (model / "refs").mkdir(parents=True)
        (model / "refs" / "main").write_text("1234")
        (model / "snapshots").mkdir()
        chat_folder(model / "snapshots" / "1234", "chatml")
        return dict(done(*asked))

    monkeypatch.setattr(stage, "run_stage", fetch)
    config = DistillConfig(find_student("some/model"), tmp_path / "run", "t")
    assert config.student.shape is None
    again(config)
    calls.clear()
    folder = RunFolder(config.run_dir)
    assert folder.read_json(folder.record)["config"]["student"]["shape"], "for when its files are gone"
    again(replace(config, student=find_student("some/model")))
    assert calls == ["report"]


def test_a_changed_setting_does_its_stage_again_and_those_that_read_it(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config)
    calls.clear()
    again(replace(config, filter=replace(config.filter, keep_unverified=True)))
    assert calls == ["filter", "sft", "export", "evaluate", "report"]


def test_how_it_is_measured_does_not_decide_what_is_trained_on(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config)
    calls.clear()
    again(replace(config, evaluate=replace(config.evaluate, k=8)))
    assert calls == ["evaluate", "report"]
    calls.clear()
    again(replace(config, evaluate=replace(config.evaluate, sets=("generated-larger",))))
    assert calls[0] == "filter"


def test_what_is_held_out_decides_what_is_practised(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path, "run")
    for sets in ((), ("generated-test",), ("generated-test",)):
        again(replace(config, evaluate=replace(config.evaluate, sets=sets)), ("base", "grpo"))
    assert calls == ["base", "grpo", "grpo"]


def test_a_stage_done_alone_leaves_those_that_read_it_out_of_date(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config)
    assert stale(config, RunFolder(config.run_dir)) == []
    config = replace(config, filter=replace(config.filter, max_tokens=2048))
    again(config, ("filter",))
    assert stale(config, RunFolder(config.run_dir)) == ["sft"]


def test_how_long_a_reward_may_take_decides_what_is_practised_and_how_many_judge_at_once_does_not(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path, "run")
    for settings in ({}, {"workers": 7}, {"timeout_s": 9.0}):
        again(replace(config, verify=replace(config.verify, **settings)), ("base", "grpo"))
    assert calls == ["base", "grpo", "grpo"]


def test_a_lost_artifact_is_made_again(tmp_path: Path, calls: list[str], again: Callable[..., list[str]]) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config)
    calls.clear()
    RunFolder(config.run_dir).evaluation.unlink()
    again(config, ("evaluate",))
    assert calls == ["evaluate"]


def test_a_stage_whose_input_is_missing_names_the_command_that_makes_it(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    with pytest.raises(DistillError, match=r"traces\.jsonl.*r1chat distill generate --run-dir"):
        again(config, ("verify",))
    assert calls == []
    with pytest.raises(DistillError, match=r"sft\.json.*r1chat distill sft --run-dir"):
        again(config, ("base", "export"))
    with pytest.raises(DistillError, match=r"base\.json.*r1chat distill base --run-dir"):
        again(replace(config, run_dir=tmp_path / "other"), ("sft",))


def test_the_record_tells_the_configuration_and_the_versions(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config, ("base",))
    record = RunFolder(config.run_dir).read_json(tmp_path / "run" / "run.json")
    assert record["config"]["student"]["name"] == "tiny"
    assert record["versions"]["r1chat"]
    assert set(record["stages"]) == {"base"}
    first = record["id"]
    again(config)
    assert RunFolder(config.run_dir).read_json(tmp_path / "run" / "run.json")["id"] == first


def test_an_interrupted_change_is_not_taken_for_what_was_done_before_it(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder holds some of each by then."""
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    again(config)

    def interrupted(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(sys.modules["r1chat.distill.sft.stage"], "run_stage", interrupted)
        again(replace(config, sft=replace(config.sft, epochs=9.0)))
    calls.clear()
    again(config, ("sft",))
    assert calls == ["sft"]


def test_what_a_training_would_go_on_from_is_there_until_the_record_says_that_it_is_done(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[bool] = []

    def tidy(folder: RunFolder) -> None:
        recorded.append("sft" in folder.read_json(folder.record)["stages"])

    monkeypatch.setattr(sys.modules["r1chat.distill.sft.stage"], "tidy", tidy, raising=False)
    again(DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t"))
    assert recorded == [True]
    again(DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t"))
    assert recorded == [True, True], "who was killed before left it there"


def test_a_changed_file_does_the_stages_that_read_it_again_and_a_lost_one_none(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]]
) -> None:
    traces = tmp_path / "traces.jsonl"
    traces.write_text("1")
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t")
    config = replace(config, generate=replace(config.generate, traces=(f"{traces}@{tmp_path / 'keys.json'}",)))
    again(config, ("base", "generate"))
    traces.write_text("2")
    again(config, ("base", "generate"))
    assert calls == ["base", "generate", "generate"]
    traces.unlink()
    again(config, ("base", "generate"))
    assert calls == ["base", "generate", "generate"]


def _full(*_: object) -> dict[str, Any]:
    raise OSError(errno.ENOSPC, "No space left on device", "/run/kept.jsonl")


def _lacking(*_: object) -> dict[str, Any]:
    raise ModuleNotFoundError("No module named 'trl'", name="trl")


def _many(*_: object) -> dict[str, Any]:
    raise ExceptionGroup("requests", [OSError(errno.ENOSPC, "No space left on device", "samples.jsonl"), ValueError()])


def _memory(*_: object) -> dict[str, Any]:
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")


def _torch_on_a_full_disk(*_: object) -> dict[str, Any]:
    raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 5790144 vs 5790036")


def _safetensors(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    save_file = pytest.importorskip("safetensors.numpy", reason="needs the extra `distill`").save_file
    save_file({}, folder.root / "no folder" / "model.safetensors")
    raise AssertionError("it was written")


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (_full, r"kept\.jsonl: No space left on device\. .*r1chat distill --run-dir \S+run$"),
        (_lacking, r"needs trl.*pip install"),
        (_many, r"samples\.jsonl: No space left"),
        (_torch_on_a_full_disk, r"is the disk full\? .*r1chat distill --run-dir \S+run$"),
        (_safetensors, r"I/O error: .* is the disk full\?"),
        (_memory, r"not enough memory for the stage sft .*r1chat distill --run-dir \S+run$"),
    ],
)
def test_what_the_machine_refuses_a_stage_is_told_in_a_line(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, fails: Any,
    told: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys.modules["r1chat.distill.sft.stage"], "run_stage", fails)
    with pytest.raises(DistillError, match=told):
        again(DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Train more gently: r1chat distill sft --learning-rate 3e-05", "--learning-rate 3e-05 --run-dir RUN"),
        ("Give its key: R1CHAT_TEACHER_KEY=KEY r1chat distill evaluate", "r1chat distill evaluate --run-dir RUN"),
        ("It runs code. Allow it: r1chat distill --sandbox", "r1chat distill --sandbox --run-dir RUN"),
        ("Let more through: r1chat distill filter --run-dir X --keep-unverified", "--run-dir X --keep-unverified"),
        ("It cannot be a student. Use: r1chat distill --student tiny", "r1chat distill --student tiny"),
        ("See which there are: r1chat distill --help", "r1chat distill --help"),
        ("There is a model s. Delete it: r1chat rm s", "r1chat rm s"),
    ],
)
def test_a_command_that_mends_names_the_run_that_it_is_for(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, text: str,
    told: str,
) -> None:  # fmt: skip
    """Typed as it stands, it would ask which run."""
    said: list[str] = []
    told = told.replace("RUN", f"'{tmp_path / 'my run'}'")

    def refuses(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
        host.say(text)
        raise DistillError(text)

    monkeypatch.setattr(sys.modules["r1chat.distill.sft.stage"], "run_stage", refuses)
    config = DistillConfig(STUDENTS["tiny"], tmp_path / "my run", "t")
    with pytest.raises(DistillError) as error:
        run(config, RunFolder(config.run_dir), Host(no_server, lambda *_: tmp_path, said.append))
    assert str(error.value).endswith(told) and said[-1].endswith(told)


def test_a_fault_of_ours_keeps_its_traceback(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object) -> dict[str, Any]:
        raise AssertionError("ours")

    monkeypatch.setattr(sys.modules["r1chat.distill.sft.stage"], "run_stage", wrong)
    with pytest.raises(AssertionError, match="ours"):
        again(DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t"))


def test_what_is_not_installed_is_told_before_a_teacher_is_asked(
    tmp_path: Path, calls: list[str], again: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "trl" else object())
    with pytest.raises(DistillError, match=r'needs trl.*pip install "r1chat\[distill\]"$'):
        again(DistillConfig(STUDENTS["tiny"], tmp_path / "run", "t"))
    assert calls == []
