"""Real training steps on a very small network: it learns, it stops when told, it goes on where it stopped."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch
from tokenizers import Tokenizer

from r1chat.distill.errors import DistillError
from r1chat.distill.stream import training
from r1chat.distill.stream.conversations import conversation_at, text_at
from r1chat.distill.stream.training import Progress, TrainConfig, save_hf_folder, train
from r1chat.distill.stream.vocabulary import train_tokenizer
from r1chat.serve.models.gguf.spec import ModelSpec
from r1chat.serve.models.templates import EOS

SHAPE = ModelSpec("qwen2", 1024, 64, 1, 64, 2, 1, n_ctx=4096)
SMALL = TrainConfig(minutes=60, shape=SHAPE, tokens_per_step=1536, warmup_steps=5)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(map(text_at, range(3000)))


@pytest.fixture(autouse=True)
def _few_examples_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "POOL", 256)


class StopAfter:
    """Raises KeyboardInterrupt, as Ctrl-C would, after so many steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.losses: list[float] = []
        self.seen: list[Progress] = []

    def __call__(self, progress: Progress, share: float) -> None:
        self.losses.append(progress.loss)
        self.seen.append(Progress(**vars(progress)))
        if len(self.losses) == self.steps:
            raise KeyboardInterrupt


def test_ctrl_c_within_a_step_loses_no_batch(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, n_steps = training._step, 0

    def interrupted(*args: Any) -> float:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 3:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(training, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, conversation_at, tokenizer, tmp_path, lambda *_: None)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]
    assert (kept["step"], kept["batch"]) == (2, 2)


@pytest.mark.slow
def test_loss_falls_and_an_interrupted_run_goes_on(tokenizer: Tokenizer, tmp_path: Path) -> None:
    first = StopAfter(40)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, conversation_at, tokenizer, tmp_path, first)
    assert sum(first.losses[-5:]) / 5 < 0.7 * first.losses[0]

    second = StopAfter(2)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, conversation_at, tokenizer, tmp_path, second)
    assert second.seen[0].step == 41
    assert second.seen[0].seconds > first.seen[-1].seconds
    assert second.losses[0] < 0.75 * first.losses[0]
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize("compiler", ["here", "missing"])
def test_a_model_is_compiled_where_there_is_a_compiler(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    (tmp_path / "here").write_text("#!/bin/sh\n")
    (tmp_path / "here").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / compiler))
    compiled: list[object] = []

    def compile_(model: object, **_: object) -> object:
        compiled.append(model)
        return model

    monkeypatch.setattr("torch.compile", compile_)
    with pytest.raises(KeyboardInterrupt):
        train(replace(SMALL, compile=True), conversation_at, tokenizer, tmp_path, StopAfter(1))
    assert bool(compiled) == (compiler == "here")


def test_a_step_that_was_broken_off_is_not_saved(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some weights have moved by then, and others have not."""
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, conversation_at, tokenizer, tmp_path, StopAfter(2))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with monkeypatch.context() as during, pytest.raises(KeyboardInterrupt):
        during.setattr(torch.optim.AdamW, "step", interrupted)
        train(SMALL, conversation_at, tokenizer, tmp_path, StopAfter(9))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    steps = StopAfter(1)
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, conversation_at, tokenizer, tmp_path, steps)
    assert steps.seen[0].step == 3


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_ends_the_step_under_way_and_saves_it(tokenizer: Tokenizer, tmp_path: Path) -> None:
    steps = StopAfter(10_000)

    def report(progress: Progress, share: float) -> None:
        steps(progress, share)
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, conversation_at, tokenizer, tmp_path, report)
    assert steps.seen[-1].step == 2
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["progress"]["step"] == 2


def test_training_ends_when_the_minutes_are_spent(tokenizer: Tokenizer, tmp_path: Path) -> None:
    steps = StopAfter(10_000)
    train(replace(SMALL, minutes=0.01), conversation_at, tokenizer, tmp_path, steps)
    assert 1 <= len(steps.seen) < 1000
    assert steps.seen[-1].seconds >= 0.6


def test_a_training_of_so_many_tokens_ends_with_them_however_long_it_takes(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    steps = StopAfter(10_000)
    train(replace(SMALL, minutes=0.0, tokens=6000), conversation_at, tokenizer, tmp_path, steps)
    assert steps.seen[-2].tokens < 6000 <= steps.seen[-1].tokens < 6000 + 1536


def test_a_loss_that_is_no_number_ends_it_with_what_to_set_and_is_not_learnt(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.nn.functional.cross_entropy
    factors = iter([1.0, 1.0, float("nan")])
    monkeypatch.setattr("torch.nn.functional.cross_entropy", lambda *given: whole(*given) * next(factors))
    with pytest.raises(DistillError, match=r"step 3 is no number.*set learning_rate: 0\.0005"):
        train(SMALL, conversation_at, tokenizer, tmp_path, StopAfter(10))
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    assert all(weights.isfinite().all() for weights in kept.values())


def test_the_saved_folder_stops_at_the_end_token_and_prints_the_think_tags(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    from transformers import AutoConfig, PreTrainedTokenizerFast

    from r1chat.distill.stream.training import build_model

    save_hf_folder(build_model(SMALL), tokenizer, tmp_path)
    saved = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert saved.convert_ids_to_tokens(config.eos_token_id) == EOS
    assert config.max_position_embeddings >= 4096
    assert config.tie_word_embeddings
    rendered = saved.apply_chat_template(
        [{"role": "user", "content": "2+2"}], tokenize=False, add_generation_prompt=True
    )
    assert rendered.endswith("<think>\n")
    assert saved.decode(saved.encode("<think>\n</think>"), skip_special_tokens=True) == "<think>\n</think>"
