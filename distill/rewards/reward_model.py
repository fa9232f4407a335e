"""Scores of a reward model: a sequence classifier with one output, as reward models are published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DistillError
from .said import Said

ROWS = 8  # at once
MAX_TOKENS = 4096


class RewardModel:
    """Loads the model of a folder or the Hub: minutes, which no question is to wait for. Its score is squashed to 0..1,
    as its training by pairs understands it: the sigmoid of a difference is the chance to be preferred (Bradley and
    Terry). Raises DistillError where there is no such model.
    """

    def __init__(self, name: str) -> None:
        self._loaded = _load(name)

    def __call__(self, said: Sequence[Said]) -> list[float | None]:
        values: list[float | None] = []
        for at in range(0, len(said), ROWS):
            values += self._scores(said[at : at + ROWS], *self._loaded)
        return values

    def _scores(self, said: Sequence[Said], tokenizer: Any, model: Any) -> list[float]:
        import torch

        texts = [_rendered(tokenizer, one) for one in said]
        rows = tokenizer(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=MAX_TOKENS, add_special_tokens=False
        )
        rows = {name: tensor.to(model.device) for name, tensor in rows.items() if name != "token_type_ids"}
        with torch.inference_mode():
            return [float(score) for score in torch.sigmoid(model(**rows).logits[:, 0].float())]


def _rendered(tokenizer: Any, said: Said) -> str:
    messages = [{"role": "user", "content": said.problem.prompt}, {"role": "assistant", "content": said.answer}]
    return str(tokenizer.apply_chat_template(messages, tokenize=False))


def _load(name: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

    try:
        # tokenizer.json as it is: by its class a small model's own would be read as that of the large one of its kind
        tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(name)
        model = AutoModelForSequenceClassification.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise _no_model(name, f"cannot be loaded ({reason})") from error
    if model.config.num_labels != 1 or tokenizer.chat_template is None:
        raise _no_model(name, "is none: it needs one output and a chat template")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _no_model(name: str, why: str) -> DistillError:
    return DistillError(
        f"The reward model {name} {why}. Name a folder or a model of the Hub as reward_model of the rewards, then run: "
        "r1chat distill --recipe FILE.yaml"
    )
