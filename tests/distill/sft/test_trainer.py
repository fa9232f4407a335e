"""A training learns what it is given, on whatever memory, and a killed one goes on as if nothing had been."""

from __future__ import annotations

import json
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_jobs import STEPS, make_job, recorded, rounding, train_recorded

from r1chat.distill.errors import DistillError
from r1chat.distill.hf.tensors import SafetensorsFolder
from r1chat.distill.sft.job import Job, read_job

pytest.importorskip("trl", reason="needs the extra `distill`")


def losses_of(job: Job) -> dict[int, float]:
    from r1chat.distill.sft.trainer import train

    found: dict[int, float] = {}
    train(job, lambda step, numbers: found.update({step: numbers["loss"]}))
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[int, float]]:
    """A training in one go, of all weights, and its losses."""
    job = make_job(tmp_path_factory.mktemp("whole") / "job")
    return job, losses_of(job)


def test_a_training_learns(whole: tuple[Job, dict[int, float]]) -> None:
    job, losses = whole
    assert list(losses) == list(range(1, STEPS + 1))
    assert losses[STEPS] < losses[1] - 0.5
    before, after = SafetensorsFolder(job.base), SafetensorsFolder(job.result)
    changed = {name for name in after if not np.array_equal(before[name][0:2], after[name][0:2])}
    assert len(changed) > 20
    assert not list(job.result.glob("*.bin")), "nothing that could carry code"


def test_a_training_of_one_step_learns_in_it(tmp_path: Path) -> None:
    job = make_job(tmp_path, max_steps=1)
    losses_of(job)
    before, after = SafetensorsFolder(job.base), SafetensorsFolder(job.result)
    assert any(not np.array_equal(before[name][0:], after[name][0:]) for name in after)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"micro_batch_tokens": 64}, {"packing": True}])
def test_the_losses_do_not_depend_on_how_rows_share_the_memory(
    whole: tuple[Job, dict[int, float]], tmp_path: Path, changes: dict[str, object]
) -> None:
    expected = whole[1]
    found = losses_of(make_job(tmp_path, **changes))
    assert [found[step] for step in found] == pytest.approx(
        [expected[step] for step in expected], abs=max(5e-3, rounding())
    )


def test_the_loss_is_that_of_the_plain_model(whole: tuple[Job, dict[int, float]]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from r1chat.distill.sft.job import read_rows
    from r1chat.distill.sft.order import draw_steps

    job, losses = whole
    rows = read_rows(job.rows)
    model = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
    total, count = 0.0, 0
    for row in draw_steps(len(rows), job.batch_size, job.epochs, None, job.seed)[0]:
        ids, labels = (torch.from_numpy(array.astype(np.int64)) for array in rows[row])
        logits = model(ids[None]).logits[0].detach()
        total += float(torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum"))
        count += int((labels[1:] != -100).sum())
    assert losses[1] == pytest.approx(total / count, abs=max(5e-3, rounding()))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_an_adapter_learns_and_goes_on_from_its_checkpoint(tmp_path: Path, method: str) -> None:
    from r1chat.distill.sft.trainer import train

    job = make_job(tmp_path, method=method, learning_rate=1e-2)
    stop_after, first = iter([False, False, True]), []
    with pytest.raises(KeyboardInterrupt):
        train(job, lambda _, numbers: first.append(numbers["loss"]), lambda: next(stop_after))
    assert (tmp_path / "step-00000003").is_dir()
    rest = losses_of(job)
    assert list(rest) == [4, 5, 6]
    found = json.loads((job.result / "adapter_config.json").read_text())
    assert (found["r"], found["lora_alpha"]) == (4, 8)
    adapted = {name.rsplit(".", 1)[-1] for name in found["target_modules"]}
    assert adapted == {f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")}
    assert rest[6] < first[0]


@pytest.mark.slow
def test_the_rate_rises_for_a_moment_and_falls_to_a_tenth(tmp_path: Path) -> None:
    from r1chat.distill.sft.trainer import train

    rates: list[float] = []
    train(make_job(tmp_path, max_steps=40, batch_size=1), lambda _, numbers: rates.append(numbers["learning_rate"]))
    assert 0 < rates[0] < rates[1] == max(rates) == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-4, rel=0.05)
    assert rates[1:] == sorted(rates[1:], reverse=True)


def test_a_loss_that_is_no_number_ends_the_run_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"--learning-rate 2\.5e\+19"):
        losses_of(make_job(tmp_path, learning_rate=1e20))


def run_child(job: Job, kill_at: tuple[str, int] | None) -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["r1chat.distill.sft.watch", "r1chat.distill.sft.model", "peft", "training_jobs"])
    child = context.Process(target=train_recorded, args=(job.write(), kill_at))
    child.start()
    child.join(600)
    return child.exitcode


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = make_job(tmp_path_factory.mktemp("unbroken"))
    assert run_child(job, None) == 0
    return job


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "reads"),
    [
        ([("step", 4)], [1, 2, 3, 4, 4, 5, 6]),
        ([("write", 2)], [1, 2, 2, 3, 4, 5, 6]),
        ([("seal", 1), ("rename", 1), ("step", 3)], [1, 1, 2, 3, 3, 4, 5, 6]),
    ],
)
def test_a_killed_training_ends_as_an_unbroken_one(
    unbroken: Job, tmp_path: Path, kills: list[tuple[str, int]], reads: list[int]
) -> None:
    broken = make_job(tmp_path, save_every_s=0.0)
    for kill_at in kills:
        assert run_child(broken, kill_at) == -signal.SIGKILL
        assert not broken.result.exists()
    assert run_child(broken, None) == 0
    lines = [json.loads(line) for line in (broken.folder / "steps.jsonl").read_text().splitlines()]
    assert [line["read"] for line in lines if "read" in line] == reads, "it goes on behind the last checkpoint"
    assert recorded(broken.folder) == recorded(unbroken.folder)
    ours, theirs = SafetensorsFolder(broken.result), SafetensorsFolder(unbroken.result)
    assert all(np.array_equal(ours[name][0:], theirs[name][0:]) for name in theirs)


def test_a_job_with_other_rows_or_settings_begins_anew(whole: tuple[Job, dict[int, float]]) -> None:
    job = whole[0]
    deciding = [replace(job, learning_rate=2e-3), replace(job, rows_sha256="other"), replace(job, base_sha256="other"),
                replace(job, method="lora"), replace(job, seed=2)]  # fmt: skip
    assert len({other.fingerprint() for other in (job, *deciding)}) == 6
    assert replace(job, micro_batch_tokens=64, save_every_s=1.0).fingerprint() == job.fingerprint()
    assert read_job(job.write()) == job
