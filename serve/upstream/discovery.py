"""What an upstream is and what its models are like, from what it tells of itself. Asks through whoever calls it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ..reasoning import ends_in_thought
from .failures import Failure
from .kinds import Kind, kind_by_card

# (method, path, body) -> the JSON object that answers; raises Failure
Ask = Callable[[str, str, dict[str, Any] | None], Awaitable[dict[str, Any]]]
Card = dict[str, Any]

State = Literal["unloaded", "loading", "loaded", "failed"]
STATES = get_args(State)


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What an upstream tells of a model; 0 where it does not.

    `opens_thought`: its prompts end in an opening tag, so that a reply without fields for reasoning begins inside a
    thought. `knows_tools`: its template shows them. `knows_budget`: its server can end a thought. `thinks` and
    `state` are r1chat's words.
    """

    id: str
    aliases: tuple[str, ...] = ()
    n_ctx: int = 0
    n_params: int = 0
    n_vocab: int = 0
    deterministic: bool = False
    thinks: bool | None = None
    state: State = "loaded"
    opens_thought: bool = False
    knows_tools: bool = True
    knows_budget: bool = True


async def find_kind(ask: Ask, cards: list[Card]) -> Kind:
    """By the models' cards, or else by a route that only one of them has."""
    for card in cards:
        if kind := kind_by_card(card):
            return kind
    for path, member, kind in (("/version", "version", Kind.VLLM), ("/props", "chat_template", Kind.LLAMA_SERVER)):
        with contextlib.suppress(Failure):
            if member in await ask("GET", path, None):
                return kind
    return Kind.OTHER


async def find_model(ask: Ask, kind: Kind, card: Card, known: RemoteModel | None) -> RemoteModel:
    """As the card has it now; what a template does is asked once, and `known` after that."""
    meta, capabilities = _object(card, "meta"), _object(card, "capabilities")
    model = known or await _with_template(ask, kind, RemoteModel(card["id"]))
    aliases = card["aliases"] if isinstance(card.get("aliases"), list) else ()
    thinks = capabilities.get("reasoning")
    return replace(
        model,
        aliases=tuple(alias for alias in aliases if isinstance(alias, str)),
        n_ctx=_count(meta.get("n_ctx") or card.get("max_model_len")),
        n_params=_count(meta.get("n_params")),
        n_vocab=_count(meta.get("n_vocab")),
        deterministic=meta.get("deterministic") is True,
        thinks=True if model.opens_thought else thinks if isinstance(thinks, bool) else None,
        state=card["state"] if card.get("state") in STATES else "loaded",
    )


async def _with_template(ask: Ask, kind: Kind, model: RemoteModel) -> RemoteModel:
    messages = [{"role": "user", "content": "?"}]
    if kind is Kind.VLLM:
        with contextlib.suppress(Failure):
            said = await ask("POST", "/tokenize", {"model": model.id, "messages": messages, "return_token_strs": True})
            model = replace(model, opens_thought=_opens("".join(said.get("token_strs") or ())))
        with contextlib.suppress(Failure):
            # older ones take the field, and do nothing
            schema = await ask("GET", "/openapi.json", None)
            model = replace(model, knows_budget="thinking_token_budget" in str(schema.get("components")))
    elif kind is Kind.LLAMA_SERVER:
        with contextlib.suppress(Failure):
            said = await ask("POST", "/apply-template", {"messages": messages})
            template = _object(await ask("GET", "/props", None), "chat_template_caps")
            knows_tools = template.get("supports_tools") is not False
            model = replace(model, opens_thought=_opens(str(said.get("prompt"))), knows_tools=knows_tools)
    return model


def _opens(prompt: str) -> bool:
    """A byte-level tokenizer writes a line break as Ċ."""
    return ends_in_thought(prompt.rstrip("\nĊ "))


def _object(of: dict[str, Any], name: str) -> dict[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
