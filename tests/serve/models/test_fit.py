"""How a model is loaded by what memory there is: the choices in their order, and the refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from model_shapes import info_of

from r1chat.serve.errors import ModelLoadError, NotEnoughMemoryError
from r1chat.serve.models.fit.machine import Device, Machine
from r1chat.serve.models.fit.plan import plan

GB = 10**9


def machine(free_gb: float, *cards: float, unified: bool = False) -> Machine:
    """With so many gigabytes free, in memory and on each graphics card."""
    gpus = tuple(
        Device(f"CUDA{i}", "a card", int(size * GB), int(size * GB), unified=unified) for i, size in enumerate(cards)
    )
    return Machine(64 * GB, int(free_gb * GB), gpus)


@pytest.mark.parametrize(
    ("free_gb", "n_ctx", "kv_type"),
    [
        (24.0, 32_768, "f16"),
        (7.6, 32_768, "f16"),
        (7.0, 16_384, "f16"),
        (6.2, 8192, "f16"),
        (5.8, 8192, "q8_0"),
        (5.6, 4096, "f16"),
        (5.5, 4096, "q8_0"),
        (5.45, 2048, "q8_0"),
    ],
)
def test_less_memory_gives_a_shorter_context_and_then_a_smaller_cache(free_gb: float, n_ctx: int, kv_type: str) -> None:
    chosen = plan(info_of("qwen2-7b"), machine(free_gb))
    assert (chosen.n_ctx, chosen.kv_type, chosen.n_gpu_layers) == (n_ctx, kv_type, 0)
    assert chosen.n_cells >= n_ctx
    assert chosen.estimate.total <= 0.9 * free_gb * GB + 1


def test_a_model_is_given_no_more_context_than_it_was_trained_for() -> None:
    small = info_of("tiny-qwen2")
    assert plan(small, machine(24)).n_ctx == small.context_length == 4096
    assert plan(replace(small, context_length=1000), machine(24)).n_ctx == 1000
    assert plan(info_of("llama-8b"), machine(24)).n_ctx == 32_768, "more is used by whoever asks for it"


def test_what_is_asked_for_is_kept() -> None:
    chosen = plan(info_of("qwen2-7b"), machine(24, 8), n_ctx=5000, kv_type="q4_0", n_gpu_layers=0, n_cells=6000)
    assert (chosen.n_ctx, chosen.kv_type, chosen.n_gpu_layers) == (5000, "q4_0", 0)
    assert chosen.n_cells == 6144
    assert "5000-token context" in chosen.sentence and "q4_0" in chosen.sentence


def test_a_pool_smaller_than_the_context_is_the_context() -> None:
    chosen = plan(info_of("qwen2-7b"), machine(24), n_cells=4000)
    assert chosen.n_ctx == chosen.n_cells == 4096
    assert chosen.sentence.endswith("; 4k context")


def test_the_sentence_says_need_free_memory_and_context() -> None:
    chosen = plan(info_of("qwen2-7b"), machine(8))
    assert chosen.sentence == f"needs {chosen.estimate.total / GB:.1f} GB of 8.0 GB free; 32k context"


def test_what_cannot_fit_is_refused_with_numbers_and_a_command() -> None:
    with pytest.raises(NotEnoughMemoryError) as refused:
        plan(info_of("qwen2-7b"), machine(4))
    assert "needs 4.9 GB" in str(refused.value) and "of the 4.0 GB that are free" in str(refused.value)
    assert str(refused.value).endswith("r1chat list")
    assert refused.value.needed > refused.value.available == 4 * GB
    assert isinstance(refused.value, ModelLoadError)
    assert "\n" not in str(refused.value)


def test_a_context_too_long_is_refused_with_one_that_fits() -> None:
    with pytest.raises(NotEnoughMemoryError, match=r"r1chat run model\.gguf --ctx 16384$"):
        plan(info_of("qwen2-7b"), machine(7), n_ctx=100_000)


def test_the_pool_that_requests_share_shrinks_before_the_context_does() -> None:
    info = info_of("qwen2-0.5b")
    wide, tight = plan(info, machine(24)), plan(info, machine(1.4))
    assert wide.n_ctx == tight.n_ctx == 32_768
    assert wide.n_cells > 2 * tight.n_cells >= 2 * 32_768


def test_all_layers_go_to_a_card_that_holds_them_and_none_to_one_that_does_not() -> None:
    info = info_of("qwen2-7b")
    whole = plan(info, machine(24, 12))
    assert (whole.n_gpu_layers, whole.n_ctx) == (29, 32_768)
    assert whole.estimate.device < 12 * GB and whole.estimate.host < 3 * GB
    assert "28 of 28 layers on the graphics card" in whole.sentence and "on CUDA0" in whole.sentence
    part = plan(info, machine(24, 4))
    assert 0 < part.n_gpu_layers < 28
    assert part.estimate.device <= 0.9 * 4 * GB + 1
    assert plan(info, machine(24, 0.5)).n_gpu_layers == 0
    assert plan(info, machine(24, 6, 6)).n_gpu_layers == 29, "two cards hold what one does not"


def test_a_card_that_uses_the_machines_memory_adds_none() -> None:
    info = info_of("qwen2-7b")
    with pytest.raises(NotEnoughMemoryError):
        plan(info, machine(4, 4, unified=True))
    assert plan(info, machine(16, 16, unified=True)).n_gpu_layers == 29


def test_heads_that_are_no_whole_blocks_are_not_stored_in_eight_bits() -> None:
    odd = replace(info_of("qwen2-7b"), key_length=80, value_length=80)
    kinds = {plan(odd, machine(free / 10)).kv_type for free in range(60, 90)}
    assert kinds == {"f16"}
    with pytest.raises(ModelLoadError, match=r"heads of 80 numbers.*--kv-type f16$"):
        plan(odd, machine(24), kv_type="q8_0")
