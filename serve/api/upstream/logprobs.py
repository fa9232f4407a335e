"""Log probabilities as other servers write them -> the engine's, in both shapes: a chat's and a plain completion's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...engine.request import TokenLogprob

# They tell texts, not numbers; the wire shows texts alone.
_NO_ID = -1


def logprobs_of(said: dict[str, Any] | None) -> list[TokenLogprob]:
    """Those of one chunk, of its thought and of its answer; what is malformed is left out."""
    if not said:
        return []
    if isinstance(said.get("tokens"), list):
        return list(_of_completion(said))
    entries = _list(said.get("reasoning_content")) + _list(said.get("content"))
    return [one for entry in entries if (one := _of_chat(entry)) is not None]


def _of_chat(entry: Any) -> TokenLogprob | None:
    if not isinstance(entry, dict) or not _is_number(entry.get("logprob")):
        return None
    others = [other for other in _list(entry.get("top_logprobs")) if isinstance(other, dict)]
    top = [_of_chat({**other, "top_logprobs": None}) for other in others]
    return TokenLogprob(_NO_ID, _piece(entry), float(entry["logprob"]), tuple(one for one in top if one is not None))


def _piece(entry: dict[str, Any]) -> bytes:
    """The bytes where they are told: a token need not be whole characters."""
    told = entry.get("bytes")
    if isinstance(told, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in told):
        return bytes(told)
    return str(entry.get("token", "")).encode()


def _of_completion(said: dict[str, Any]) -> Iterator[TokenLogprob]:
    """The first token of an echoed prompt has none, and counts as certain."""
    tops = _list(said.get("top_logprobs"))
    for i, (token, logprob) in enumerate(zip(said["tokens"], _list(said.get("token_logprobs")), strict=False)):
        top = tops[i] if i < len(tops) and isinstance(tops[i], dict) else {}
        told = ((text.encode(), float(value)) for text, value in top.items() if _is_number(value))
        others = tuple(TokenLogprob(_NO_ID, piece, value) for piece, value in told)
        yield TokenLogprob(_NO_ID, str(token).encode(), float(logprob) if _is_number(logprob) else 0.0, others)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))
