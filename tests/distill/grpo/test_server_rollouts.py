"""Completions of a real server are draws of the policy: token for token, and as likely to the one as to the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.distilling.host import make_host
from r1chat.distill import retries
from r1chat.distill.errors import DistillError
from r1chat.distill.grpo import server_rollouts
from r1chat.distill.grpo.config import GrpoConfig
from r1chat.distill.grpo.job import GrpoJob
from r1chat.distill.grpo.sampler import Completion
from r1chat.distill.grpo.server_rollouts import draws_by_server
from r1chat.distill.host import Served
from r1chat.distill.rows import ProblemRow, Teacher
from r1chat.distill.sft.rows import RowEncoder
from r1chat.serve.client import ApiError, Client, ServerUnreachableError
from r1chat.serve.models.gguf.shapes import SHAPES
from r1chat.serve.models.random_folder import make_random_folder

pytest.importorskip("trl", reason="needs the extra `distill`")

SHAPE = replace(SHAPES["tiny-qwen2"], n_vocab=1024, n_embd=128, n_layer=2, n_ff=256, tied=True)
PROMPTS = ["What is 3 + 4?"] * 2 + ["Löse 5 − 2. <b>"] * 2
# of a log probability, when weights are rounded to 16 bits
ROUNDED = 0.03


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> GrpoJob:
    folder = tmp_path_factory.mktemp("grpo")
    base = make_random_folder(SHAPE, folder / "base")
    settings = GrpoConfig(prompts_per_step=2, num_generations=2, max_completion_tokens=24, sync_every=2)
    rows = [ProblemRow(id=prompt, prompt=prompt, gold=None, source="test") for prompt in PROMPTS]
    return GrpoJob(folder / "job", base, "", "full", settings, 0, tuple(rows), ())


def load(job: GrpoJob) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)


def gap(model: Any, completions: list[Completion]) -> float:
    """The greatest difference between the server's log probabilities and the model's."""
    import torch

    found = 0.0
    for one in completions:
        with torch.no_grad():
            rows = model(torch.tensor([one.prompt_ids + one.ids])).logits[0].log_softmax(-1)
        ours = rows[len(one.prompt_ids) - 1 : -1].gather(1, torch.tensor(one.ids)[:, None])[:, 0]
        assert one.logprobs is not None and len(one.logprobs) == len(one.ids)
        found = max(found, float((ours - torch.tensor(one.logprobs)).abs().max()))
    return found


def disturb(weights: Any) -> None:
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for weight in weights:
            weight += torch.randn_like(weight) * 0.05


@pytest.mark.slow
def test_the_server_draws_by_the_weights_of_the_last_sync(job: GrpoJob) -> None:
    model, encoder = load(job), RowEncoder(job.base)
    with draws_by_server(job, make_host(None)) as draw:
        drawn = draw(model, PROMPTS, 0)
        assert [one.prompt_ids for one in drawn] == [encoder.encode_prompt(prompt) for prompt in PROMPTS]
        assert len({tuple(one.ids) for one in drawn}) == len(drawn)
        assert all(len(one.ids) == 24 for one in drawn if one.finish_reason == "length")
        assert gap(model, drawn) < ROUNDED
        disturb(model.parameters())
        stale = draw(model, PROMPTS, 1)
        assert gap(model, stale) > 10 * ROUNDED
        fresh = draw(model, PROMPTS, 2)
        assert gap(model, fresh) < ROUNDED
        assert len(list((job.folder / "served").iterdir())) == 1
    assert not (job.folder / "served").exists()


def test_an_adapter_is_served_with_its_base(job: GrpoJob, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(load(job), LoraConfig(r=4, target_modules="all-linear"))
    disturb(weight for name, weight in adapted.named_parameters() if "lora_" in name)
    with (
        adapted.disable_adapter(),
        draws_by_server(replace(job, folder=tmp_path, method="lora"), make_host(None)) as draw,
    ):
        drawn = draw(adapted, PROMPTS, 0)
        assert gap(adapted, drawn) > 10 * ROUNDED
    assert gap(adapted, drawn) < ROUNDED


def test_log_probabilities_of_another_temperature_are_not_taken_for_the_draws(job: GrpoJob, tmp_path: Path) -> None:
    cooler = replace(job.settings, temperature=0.7)
    with (
        pytest.raises(DistillError, match="sync_every: 1"),
        draws_by_server(replace(job, settings=cooler), make_host(None)),
    ):
        pass
    alone = replace(job, folder=tmp_path, settings=replace(cooler, sync_every=1))
    with draws_by_server(alone, make_host(None)) as draw:
        assert {one.logprobs for one in draw(load(job), PROMPTS[:2], 0)} == {None}


def test_a_request_that_fails_in_passing_ends_no_training(
    job: GrpoJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[Exception] = [ServerUnreachableError("reset"), ApiError(429, None, "busy")]
    prompt_ids = RowEncoder(job.base).encode_prompt(PROMPTS[0])

    @asynccontextmanager
    async def serve(*_: object, **__: object) -> AsyncIterator[Served]:
        yield Served("http://127.0.0.1:9", "policy", Teacher(name="policy"))

    async def continue_text(self: Client, **body: Any) -> dict[str, Any]:
        if failures:
            raise failures.pop()
        drawn = {"token_ids": [5], "token_id_logprobs": [-1.0], "finish_reason": "length"}
        return {"choices": [{"prompt_token_ids": prompt_ids, **drawn}] * body["n"]}

    monkeypatch.setattr(retries, "FIRST_S", 0.001)
    monkeypatch.setattr(server_rollouts, "_write", lambda *_: (tmp_path, None))
    monkeypatch.setattr(Client, "continue_text", continue_text)
    with draws_by_server(replace(job, folder=tmp_path), replace(make_host(None), serve=serve)) as draw:
        assert len(draw(None, PROMPTS[:2], 0)) == 2
        failures.append(ApiError(400, None, "wrong"))
        with pytest.raises(DistillError, match=r"gave none \(wrong\)"):
            draw(None, PROMPTS[:2], 1)


def test_weights_that_no_file_can_hold_are_told_in_words(job: GrpoJob, tmp_path: Path) -> None:
    import torch

    model = load(job)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with draws_by_server(replace(job, folder=tmp_path), make_host(None)) as draw:
        with pytest.raises(DistillError, match="rollouts: generate"):
            draw(model, PROMPTS, 0)
