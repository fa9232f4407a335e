"""The lean way to draw tokens is transformers' own: the same likeliest tokens, and the same chances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from model_folders import random_folder
from policy_jobs import policy_job

pytest.importorskip("trl", reason="needs the extra `distill`")

PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [20], [30, 31, 32]]


def load(folder: Path, architecture: str = "qwen2", **changes: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    folder = random_folder(folder / "base", architecture, **changes)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_the_likeliest_tokens_are_those_of_transformers(tmp_path: Path, architecture: str) -> None:
    import torch

    from r1chat.distill.grpo.decoding import Drawing, can_decode, decode

    model = load(tmp_path, architecture)
    assert can_decode(model)
    with torch.no_grad():
        # an end that occurs, so that a row leaves the others
        eos = int(model(torch.tensor([PROMPTS[0]])).logits[0, -1].argmax())
        found = decode(model, PROMPTS, eos_id=eos, max_tokens=24, drawing=Drawing(0.0, 1.0), half=False)
        assert found[0] == [eos]
        for prompt, ours in zip(PROMPTS, found, strict=True):
            row = list(prompt)
            for token in ours:
                assert token == int(model(torch.tensor([row])).logits[0, -1].argmax())
                row.append(token)
            assert len(ours) == 24 or ours[-1] == eos


def test_what_has_no_room_at_once_is_drawn_one_part_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from r1chat.distill.grpo import sampler
    from r1chat.distill.sft.model import Device
    from r1chat.distill.sft.rows import RowEncoder

    # With bfloat16 the likeliest tokens of random weights tie, and how many rows there are decides.
    monkeypatch.setattr(sampler, "find_device", lambda: Device("cpu", None))
    job = policy_job(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
    prompts = [row.prompt for row in job.problems] * 3
    settings: dict[str, Any] = {"max_tokens": 6, "temperature": 0.0}
    whole = sampler.sample(model, RowEncoder(job.base), prompts, **settings)
    parts: list[int] = []
    draw = sampler._draw

    def watched(model: Any, encoder: Any, asked: list[list[int]], *rest: Any) -> list[list[int]]:
        parts.append(len(asked))
        return draw(model, encoder, asked, *rest)

    monkeypatch.setattr(sampler, "_draw", watched)
    monkeypatch.setattr(sampler, "_ROOM", 1)
    assert sampler.sample(model, RowEncoder(job.base), prompts, **settings) == whole
    assert parts == [1] * len(prompts)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    import torch

    from r1chat.distill.grpo.decoding import Drawing

    torch.manual_seed(0)
    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = chances.log().expand(20_000, -1)

    def shares(temperature: float, top_p: float) -> list[float]:
        drawn = Drawing(temperature, top_p)(logits)
        return (torch.bincount(drawn, minlength=4) / len(drawn)).tolist()

    assert shares(1.0, 1.0) == pytest.approx(chances.tolist(), abs=0.015)
    assert shares(1.0, 0.8) == pytest.approx([0.625, 0.375, 0, 0], abs=0.015)
    assert shares(1.0, 0.81) == pytest.approx([0.526, 0.316, 0.158, 0], abs=0.015)
    squared = [chance**2 / 0.365 for chance in chances.tolist()]
    assert shares(0.5, 1.0) == pytest.approx(squared, abs=0.015)
    assert shares(0.0, 1.0) == [1, 0, 0, 0]


@pytest.mark.parametrize("changes", [{"rope": "llama3"}, {"half": True}])
def test_other_models_are_left_to_transformers(tmp_path: Path, changes: dict[str, Any]) -> None:
    from model_folders import LLAMA3_ROPE

    from r1chat.distill.grpo.decoding import can_decode

    model = load(tmp_path, "llama", **({"rope_parameters": LLAMA3_ROPE} if "rope" in changes else {}))
    assert not can_decode(model.bfloat16() if "half" in changes else model)


def test_the_same_seed_draws_the_same_and_leaves_no_trace(tmp_path: Path) -> None:
    import torch

    from r1chat.distill.grpo.sampler import sample
    from r1chat.distill.sft.rows import RowEncoder

    model = load(tmp_path).train()
    encoder = RowEncoder(tmp_path / "base")
    state = torch.get_rng_state()

    def draw(seed: int) -> list[list[int]]:
        return [one.ids for one in sample(model, encoder, ["Hi", "What is 3 + 4?"], max_tokens=6, seed=seed)]

    assert draw(1) == draw(1) != draw(2)
    assert model.training and torch.equal(state, torch.get_rng_state())


def test_weights_of_four_bits_are_trained_on_after_they_were_drawn_from(tmp_path: Path) -> None:
    import torch

    from r1chat.distill.grpo.sampler import sample
    from r1chat.distill.sft.model import Device, load_model
    from r1chat.distill.sft.rows import RowEncoder

    pytest.importorskip("bitsandbytes")
    job = policy_job(tmp_path, method="qlora", lora_rank=2)
    model = load_model(job, Device("cpu", torch.bfloat16)).train()
    model.gradient_checkpointing_enable()
    drawn = sample(model, RowEncoder(job.base), ["Hi"], max_tokens=3)
    assert len(drawn[0].ids) == 3
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules()) and model.training
    model.enable_input_require_grads()
    ids = torch.tensor([drawn[0].prompt_ids + drawn[0].ids])
    model(ids, labels=ids).loss.backward()
    assert any(weight.grad is not None and weight.grad.any() for weight in model.parameters() if weight.requires_grad)
