"""What a model would take and how fast it would write, said before its file is here: near to what the planner finds."""

from __future__ import annotations

import pytest
from model_shapes import info_of

from r1chat.serve.models.fit.machine import Device, Machine
from r1chat.serve.models.fit.memory import estimate
from r1chat.serve.models.fit.outlook import Outlook, outlook
from r1chat.serve.models.fit.speed import read_rate, tokens_per_second
from r1chat.serve.models.r1_models import R1_MODELS

GIB = 1 << 30
SEVEN = R1_MODELS["r1:7b"]


def machine(free: float, total: float = 64, *gpus: Device) -> Machine:
    return Machine(int(total * GIB), int(free * GIB), gpus)


def card(gib: float, *, unified: bool = False) -> Device:
    return Device("CUDA0", "card", int(gib * GIB), int(gib * GIB), unified)


def seven(on: Machine) -> Outlook:
    """DeepSeek-R1-Distill-Qwen-7B in Q4_K_M."""
    return outlook(SEVEN.sizes["Q4_K_M"], SEVEN.kv_bytes_per_token, SEVEN.n_ctx, on)


@pytest.mark.parametrize("shape", ["qwen2-0.5b", "qwen2-1.5b", "qwen2-7b", "llama-8b"])
def test_it_is_near_to_what_the_planner_works_out(shape: str) -> None:
    info = info_of(shape)
    said = outlook(info.weights.total, info.kv_bytes_per_token(), 32768, machine(60))
    planned = estimate(info, n_ctx=32768, n_seq_max=16, n_cells=32768)
    assert said.n_ctx == 32768
    assert said.total == pytest.approx(planned.total, rel=0.1)


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (8, ("fits", 32768, "f16")),
        (7, ("short", 16384, "f16")),
        (5.7, ("short", 8192, "f16")),
        (5.5, ("short", 8192, "q8_0")),
        (5.2, ("short", 2048, "q8_0")),
        (4.5, ("later", 8192, "f16")),
    ],
)
def test_less_memory_costs_context_then_bits_then_the_model(free: float, told: tuple[str, int, str]) -> None:
    said = seven(machine(free))
    assert (said.verdict, said.n_ctx, said.kv_type) == told


def test_what_the_machine_never_has_is_told_apart_from_what_is_in_use_now() -> None:
    assert seven(machine(3, 64)).verdict == "later"
    assert seven(machine(3, 4)).verdict == "never"


def test_a_graphics_card_counts_but_not_twice_where_it_shares_the_memory() -> None:
    assert seven(machine(4)).verdict == "later"
    assert seven(machine(4, 64, card(24))).on_cards
    assert seven(machine(4, 64, card(24, unified=True))).verdict == "later"
    assert not seven(machine(16, 64, card(4))).on_cards


def test_half_the_weights_are_twice_as_fast_and_a_card_is_faster_still() -> None:
    on = machine(60)
    small, large = (outlook(size, 1000, 32768, on) for size in (10**9, 2 * 10**9))
    slow, fast = tokens_per_second(large, on, 20e9)
    assert slow < fast
    assert tokens_per_second(small, on, 20e9) == pytest.approx((2 * slow, 2 * fast))
    with_card = machine(60, 64, card(24))
    assert tokens_per_second(outlook(2 * 10**9, 1000, 32768, with_card), with_card, 20e9)[0] > fast


def test_the_speed_that_is_said_holds_the_one_that_was_measured() -> None:
    """docs/benchmarks.md: a 0.5B of 398 MB wrote 46 tokens/s on two cores. 28 GB/s is one reading of their memory."""
    on = machine(20)
    slow, fast = tokens_per_second(outlook(398_000_000, 12288, 32768, on), on, 28e9)
    assert slow < 46 < fast


def test_memory_is_read_at_a_rate_that_memories_have() -> None:
    assert 0.2e9 < read_rate() < 10e12
