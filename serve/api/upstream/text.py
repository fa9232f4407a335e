"""Prompts and tokens as an upstream has them, over the routes that r1chat, llama-server and vLLM have for them."""

from __future__ import annotations

from typing import Any

from ...engine.messages import QueryAnswer
from ...engine.request import Segment
from ...errors import NotSupportedError
from ...reasoning import ends_in_thought
from ...upstream.endpoint import Endpoint
from ...upstream.failures import unreachable
from ...upstream.kinds import Kind
from ..ask import Ask
from ..prompt.chat_template import RenderedPrompt
from .body import body_of

# Stands for a model's first token, whose text is not known here: the upstream puts it there.
FIRST = Segment("\0first", True)


async def prompt_of(endpoint: Endpoint, model: str, ask: Ask) -> RenderedPrompt:
    """What it would give its model for this ask."""
    body = body_of(ask, ask.params, endpoint.model(model), endpoint.kind, scope_by_key=False)
    if endpoint.kind in (Kind.R1CHAT, Kind.LLAMA_SERVER):
        said = await endpoint.ask("POST", "/apply-template", {**body, "stream": False})
        text = str(said.get("prompt", ""))
    elif endpoint.kind is Kind.VLLM:
        told = ("model", "messages", "tools", "chat_template_kwargs", "continue_final_message", "add_generation_prompt")
        said = await endpoint.ask("POST", "/tokenize", {name: body[name] for name in told if name in body})
        text = await _text(endpoint, model, _tokens(endpoint, said))
    else:
        raise _lacks(endpoint, "shows no prompts")
    return RenderedPrompt((Segment(text, True),), ends_in_thought(text))


async def tokens_of(endpoint: Endpoint, model: str, segments: tuple[Segment, ...]) -> QueryAnswer:
    """Each segment by itself, as the seam between two is one between tokens. vLLM tells no pieces, and has but one
    way to read special tokens: as such.
    """
    tokens: list[int] = []
    pieces: list[bytes] = []
    special = {"add_special_tokens" if endpoint.kind is Kind.VLLM else "add_special": FIRST in segments[:1]}
    texts = [segment for segment in segments if segment != FIRST]
    for segment in texts or [Segment("", True)]:
        if endpoint.kind is Kind.VLLM:
            if not segment.special:
                raise _lacks(endpoint, "cannot take special tokens for text")
            body: dict[str, Any] = {"model": model, "prompt": segment.text, **special}
            tokens += _tokens(endpoint, await endpoint.ask("POST", "/tokenize", body))
        elif endpoint.kind in (Kind.R1CHAT, Kind.LLAMA_SERVER):
            body = {"model": model, "content": segment.text, "parse_special": segment.special, "with_pieces": True}
            body |= special
            for token, piece in _with_pieces(endpoint, await endpoint.ask("POST", "/tokenize", body)):
                tokens.append(token)
                pieces.append(piece)
        else:
            raise _lacks(endpoint, "tells no tokens")
        special = dict.fromkeys(special, False)
    return QueryAnswer("", tuple(tokens), tuple(pieces))


async def pieces_of(endpoint: Endpoint, model: str, tokens: tuple[int, ...]) -> QueryAnswer:
    """The text of all tokens together."""
    if endpoint.kind is Kind.OTHER:
        raise _lacks(endpoint, "tells no tokens")
    return QueryAnswer("", tokens, ((await _text(endpoint, model, list(tokens))).encode(),))


async def _text(endpoint: Endpoint, model: str, tokens: list[int]) -> str:
    said = await endpoint.ask("POST", "/detokenize", {"model": model, "tokens": tokens})
    return str(said.get("prompt" if endpoint.kind is Kind.VLLM else "content", ""))


def _tokens(endpoint: Endpoint, said: dict[str, Any]) -> list[int]:
    tokens = said.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
        raise unreachable(endpoint.name, "its /tokenize has no list of tokens")
    return tokens


def _with_pieces(endpoint: Endpoint, said: dict[str, Any]) -> list[tuple[int, bytes]]:
    """A piece that is no whole characters is told as its bytes. Older servers tell numbers alone."""
    try:
        told = [(int(entry["id"]), entry["piece"]) for entry in said["tokens"]]
        return [(token, piece.encode() if isinstance(piece, str) else bytes(list(piece))) for token, piece in told]
    except (KeyError, TypeError, ValueError):
        raise _lacks(endpoint, "tells no pieces of its tokens") from None


def _lacks(endpoint: Endpoint, what: str) -> NotSupportedError:
    return NotSupportedError(f"The upstream is {endpoint.kind.value}, which {what}.")
