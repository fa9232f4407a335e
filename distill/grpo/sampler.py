"""Draws completions from a model in memory. Knows rows and tokens; judges nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...serve.reasoning import split
from ..sft.model import find_device
from ..sft.rows import RowEncoder
from .config import GrpoConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Completion:
    """`ids` with the end, where it came to one; `text` without it, the thought's closing tag in place. `logprobs`
    are those that the ids were drawn with, where it was not the model in memory that drew them.
    """

    prompt_ids: list[int]
    ids: list[int]
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: list[float] | None = None


_ROOM = 4 << 30  # bytes of keys and values, on a CPU
_SHARE_OF_FREE = 0.5  # the same of a GPU's free memory: they are laid out anew as they grow

Draw = Callable[[Any, Sequence[str], int], list[Completion]]
"""Gives a completion of each prompt by a model, in a step, whose draws are its own."""


def sample(
    model: Any,
    encoder: RowEncoder,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> list[Completion]:
    """A completion of each prompt, asked as the server asks; at temperature 0 the likeliest tokens.

    The same seed, prompts and weights give the same completions. The model is left in the mode it was in.
    """
    asked = [encoder.encode_prompt(prompt) for prompt in prompts]
    at_once = _rows_at_once(model, max(map(len, asked), default=0) + max_tokens)
    drawn: list[list[int]] = []
    with _ready(model, seed):
        for at in range(0, len(asked), at_once):
            drawn += _draw(model, encoder, asked[at : at + at_once], max_tokens, temperature, top_p)
    return [_completion(encoder, ids, new) for ids, new in zip(asked, drawn, strict=True)]


def draws_in_memory(encoder: RowEncoder, settings: GrpoConfig, seed: int) -> Draw:
    """Draws by the model itself."""

    def draw(model: Any, prompts: Sequence[str], step: int) -> list[Completion]:
        return sample(
            model, encoder, prompts, max_tokens=settings.max_completion_tokens, temperature=settings.temperature,
            top_p=settings.top_p, seed=seed * 1_000_003 + step,
        )  # fmt: skip

    return draw


def split_thought(text: str) -> tuple[str | None, str]:
    """The thought, None where there is none, and what follows its closing tag, "" where it never closed."""
    parts = split(text, reasoning_open=True)
    return parts.thought or None, parts.answer


def _rows_at_once(model: Any, tokens: int) -> int:
    """How many completions of so many tokens have room for their keys and values, which are kept in float32."""
    import torch

    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    row = 2 * config.num_hidden_layers * heads * width * 4 * tokens
    on_gpu = model.device.type == "cuda"
    room = int(_SHARE_OF_FREE * torch.cuda.mem_get_info(model.device)[0]) if on_gpu else _ROOM
    return max(1, room // row)


@contextmanager
def _ready(model: Any, seed: int) -> Iterator[None]:
    """Without gradients and recomputation, and with draws of its own. Weights of four bits stay in training, because
    on a CPU they are laid out anew for inference, and then nothing can be trained on them.
    """
    import torch

    was_training = model.training
    recomputes = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    devices = [model.device] if model.device.type == "cuda" else []
    if not getattr(model, "is_loaded_in_4bit", False):
        model.eval()
    elif recomputes:
        model.gradient_checkpointing_disable()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            yield
    finally:
        model.train(was_training)
        if recomputes:
            model.gradient_checkpointing_enable()


def _draw(
    model: Any, encoder: RowEncoder, asked: list[list[int]], max_tokens: int, temperature: float, top_p: float
) -> list[list[int]]:
    from .decoding import Drawing, can_decode, decode

    if not can_decode(model):
        return _generate(model, encoder, asked, max_tokens, temperature, top_p)
    return decode(
        model, asked, eos_id=encoder.eos_id, max_tokens=max_tokens, drawing=Drawing(temperature, top_p),
        half=find_device().half is not None,
    )  # fmt: skip


def _generate(
    model: Any, encoder: RowEncoder, asked: list[list[int]], max_tokens: int, temperature: float, top_p: float
) -> list[list[int]]:
    """The new tokens of each, filled up behind the end."""
    from transformers import GenerationConfig

    ids, mask = _left_padded(asked, encoder.pad_id, model.device)
    drawing: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        drawing = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    settings = GenerationConfig(
        max_new_tokens=max_tokens, eos_token_id=encoder.eos_id, pad_token_id=encoder.pad_id,
        repetition_penalty=1.0, use_cache=True, disable_compile=True, **drawing,
    )  # fmt: skip
    given, model.generation_config = model.generation_config, settings  # its own would fill in what is not set
    try:
        whole = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
    finally:
        model.generation_config = given
    drawn: list[list[int]] = whole[:, ids.shape[1] :].tolist()
    return drawn


def _left_padded(rows: list[list[int]], pad: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, both (rows, longest)."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def _completion(encoder: RowEncoder, prompt_ids: list[int], new: list[int]) -> Completion:
    """Up to and with the first end."""
    if encoder.eos_id not in new:
        return Completion(prompt_ids, new, encoder.decode(new), "length")
    ids = new[: new.index(encoder.eos_id) + 1]
    return Completion(prompt_ids, ids, encoder.decode(ids[:-1]), "stop")
