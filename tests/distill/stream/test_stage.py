"""A student made on the stream: what it leaves, that it goes on where it was stopped, and what it continues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.host import Host
from r1chat.distill.run_folder import Event, RunFolder
from r1chat.distill.stream import making, training
from r1chat.distill.stream.config import StreamConfig
from r1chat.distill.stream.stage import run_stage, tidy
from r1chat.distill.students import STUDENTS, Student
from r1chat.serve.models.gguf.spec import ModelSpec

MINI = Student("mini", None, "MIT", None, "full", 1e-3, shape=ModelSpec("qwen2", 1024, 64, 1, 64, 2, 1, n_ctx=4096))
HOST = Host(serve=lambda *_, **__: pytest.fail("no model is asked"), register=lambda *_: Path(), say=lambda _: None)


@pytest.fixture(scope="module", autouse=True)
def _few_examples_and_frequent_logs() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "VOCABULARY_EXAMPLES", 3000)
        patch.setattr(making, "LOG_EVERY", 2)
        patch.setattr(training, "POOL", 128)
        yield


def config(folder: Path, **stream: object) -> DistillConfig:
    settings = StreamConfig(**{"corpus": "zero", "minutes": 0.01, "tokens_per_step": 1024, **stream})  # type: ignore[arg-type]
    return DistillConfig(MINI, folder, "t", stream=settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("made"))
    run_stage(config(folder.root), folder, HOST)
    return folder


def test_it_leaves_a_student_with_its_tokeniser_and_says_how_it_was_trained(made: RunFolder) -> None:
    record, base = made.read_json(made.trained), made.read_json(made.base_record)
    assert record["kind"] == "full" and record["steps"] >= 1 and record["corpus"] == "zero"
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= {
        path.name for path in made.student.iterdir()
    }
    assert json.loads((made.student / "config.json").read_text())["hidden_size"] == 64
    assert base["licence"] == "MIT" and len(base["sha256"]) == 64
    tidy(made)
    assert not (made.root / "stream").exists()


def test_a_model_that_is_continued_keeps_its_tokeniser_and_its_weights(made: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    run_stage(config(tmp_path, corpus="conversations", start=made.student, learning_rate=0.0, matrix_learning_rate=0.0),
              folder, HOST)  # fmt: skip
    before, after = (json.loads((where / "tokenizer.json").read_text()) for where in (made.student, folder.student))
    assert after["model"] == before["model"]
    assert (folder.student / "model.safetensors").read_bytes() == (made.student / "model.safetensors").read_bytes()
    assert folder.read_json(folder.base_record)["path"] == str(made.student.resolve())


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_and_one_with_other_settings_begins_anew(tmp_path: Path) -> None:
    steps: list[int] = []

    def stop_at_four(event: Event) -> None:
        steps.append(event.step)
        if event.step == 4:
            raise KeyboardInterrupt

    long = config(tmp_path, minutes=5.0)
    with pytest.raises(KeyboardInterrupt):
        run_stage(long, RunFolder(tmp_path, stop_at_four), HOST)
    assert not (tmp_path / "sft.json").exists()

    def stop_at_once(event: Event) -> None:
        steps.append(event.step)
        raise KeyboardInterrupt

    for settings, step in ((long, 6), (replace(long, seed=1), 2)):
        with pytest.raises(KeyboardInterrupt):
            run_stage(settings, RunFolder(tmp_path, stop_at_once), HOST)
        assert steps[-1] == step


def test_what_cannot_be_trained_is_refused_with_a_way_out(made: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    refused = {
        "is no model that is made here": replace(config(tmp_path), student=STUDENTS["qwen-0.5b"]),
        "does nothing": config(tmp_path, minutes=0.0),
        "A step of 100 tokens": config(tmp_path, tokens_per_step=100),
        "A step of 1000000 tokens": config(tmp_path, tokens_per_step=10**6),
        "is no model to continue": config(tmp_path, start=tmp_path),
        "is not of the shape of tiny": replace(config(tmp_path, start=made.student), student=STUDENTS["tiny"]),
    }
    for reason, settings in refused.items():
        with pytest.raises(DistillError, match=f"{reason}.*r1chat distill"):
            run_stage(settings, folder, HOST)
