"""Fields that the bodies of several routes share: how tokens are drawn, and what is known but not to be had here.

Fields that nobody knows are logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from ..engine.request import Priority, SamplingParams
from ..errors import InvalidRequestError
from .wire_errors import NOT_SUPPORTED
from .wire_types import MAX_INT, NO_SEED, SEEDS, StopText, Text, TokenId

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_BIASED = 1024
MAX_TOLD = 200
_told: set[str] = set()

one_or_list = Discriminator(lambda value: "(list)" if isinstance(value, list) else "(one)")

Stop = Annotated[
    Annotated[StopText, Tag("(one)")] | Annotated[list[StopText], Field(max_length=4), Tag("(list)")], one_or_list
]


@dataclass(frozen=True)
class Unsupported:
    """Marks a field that a client may name only as null or as what the field's own type still allows.

    Anything in `harmless` goes on to that type; all else is answered with not_supported.
    """

    what: str
    harmless: tuple[Any, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if value is None or any(value == one for one in self.harmless):
            return value
        raise unsupported(self.what)


def unsupported(what: str) -> PydanticCustomError:
    """What a validator raises for something that exists elsewhere and not here."""
    return PydanticCustomError(NOT_SUPPORTED, "{what} not supported here", {"what": what})


def kinds(*known: str, default: str, what: str) -> Discriminator:
    """Chooses the branch tagged `(type)` by the member of that name; of those that we lack it says so."""

    def kind_of(value: Any) -> str | None:
        kind = value.get("type", default) if isinstance(value, dict) else getattr(value, "type", default)
        if not isinstance(kind, str):
            return f"({default})"
        return f"({kind})" if kind in known else None

    return Discriminator(
        kind_of,
        custom_error_type=NOT_SUPPORTED,
        custom_error_message=f"{what} of this type are not supported here",
    )


def number(low: float, high: float) -> Any:
    return Field(default=None, ge=low, le=high, allow_inf_nan=False)


class Strict(BaseModel):
    """No conversions: true is no number and "1" is no number either. Unknown fields inside are dropped."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Body(BaseModel):
    """A request's body. A null field means what its absence means; fields nobody knows are let through."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    @property
    def ignored(self) -> list[str]:
        """Names of the fields that we do not know."""
        return sorted(self.model_extra or {})


class ChatOnly(Body):
    """What the chat route alone has."""

    vote: Annotated[None, Unsupported("votes on this route are")] = None


class OneReply(ChatOnly):
    """For the APIs that know no choices."""

    n: Annotated[Literal[1] | None, Unsupported("n above 1 on this route is", harmless=(1,))] = None


def _few(bias: Any) -> Any:
    # before its members: of a dict each wrong one would be an error of its own
    if isinstance(bias, dict) and len(bias) > MAX_BIASED:
        raise ValueError(f"there may be {MAX_BIASED} tokens at most")
    return bias


class SamplingFields(Body):
    """How tokens are drawn, in OpenAI's names and our own, with the bounds of the chat route; `repeat_penalty` is
    llama-server's name. As elsewhere a `top_k` of -1 cuts nothing, and a `seed` of -1 is none.
    """

    temperature: float | None = number(0, 2)
    top_p: float | None = number(0, 1)
    top_k: Annotated[int, Field(ge=-1, le=MAX_INT), AfterValidator(lambda k: max(k, 0))] | None = None
    min_p: float | None = number(0, 1)
    repetition_penalty: float | None = number(0.01, 10)
    repeat_penalty: float | None = number(0.01, 10)
    presence_penalty: float | None = number(-2, 2)
    frequency_penalty: float | None = number(-2, 2)
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    logit_bias: (
        Annotated[dict[TokenId, Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]], BeforeValidator(_few)]
        | None
    ) = None
    priority: Literal["interactive", "batch", "background"] | None = None
    cache_salt: Annotated[Text, Field(max_length=512)] | None = None
    deterministic: bool | None = None

    @property
    def waits(self) -> Priority:
        """Who waits for the reply; a person, unless it was said otherwise."""
        return Priority(self.priority or Priority.INTERACTIVE)

    def drawn(self, **more: Any) -> SamplingParams:
        """The engine's parameters; what was not given, here and in `more`, keeps the engine's default. Raises
        InvalidRequestError.
        """
        given: dict[str, Any] = {name: getattr(self, name) for name in _SAMPLING_FIELDS} | more
        named = {"repetition_penalty": self.repetition_penalty, "repeat_penalty": self.repeat_penalty}
        given["repetition_penalty"] = only(named)
        if self.seed is not None and self.seed != NO_SEED:
            given["seed"] = self.seed % SEEDS
        elif self.deterministic:
            given["seed"] = 0
        if self.logit_bias:
            given["logit_bias"] = {int(token): bias for token, bias in self.logit_bias.items()}
        params = SamplingParams(**{name: value for name, value in given.items() if value is not None})
        if not params.governed and params.reasoning_budget is not None:
            raise InvalidRequestError("A budget needs thinking_control; leave one of them out.", "thinking_control")
        return params


_SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
)


class ForeignSampling(Strict):
    """How other servers draw tokens and this one does not: better an error than text that only looks like it."""

    grammar: Annotated[Literal[""] | None, Unsupported("grammars in GBNF are", ("",))] = None
    guided_grammar: Annotated[None, Unsupported("guided_grammar is")] = None
    use_beam_search: Annotated[Literal[False] | None, Unsupported("beam search is", (False,))] = None
    min_tokens: Annotated[Literal[0] | None, Unsupported("min_tokens is", (0,))] = None
    ignore_eos: Annotated[Literal[False] | None, Unsupported("ignore_eos is", (False,))] = None
    stop_token_ids: Annotated[list[int] | None, Unsupported("stop_token_ids are", ([],))] = None
    typical_p: Annotated[float | None, Unsupported("typical_p is", (1,))] = None
    mirostat: Annotated[Literal[0] | None, Unsupported("mirostat is", (0,))] = None
    dry_multiplier: Annotated[float | None, Unsupported("DRY is", (0,))] = None
    xtc_probability: Annotated[float | None, Unsupported("XTC is", (0,))] = None
    top_n_sigma: Annotated[float | None, Unsupported("top_n_sigma is", (-1, 0))] = None
    dynatemp_range: Annotated[float | None, Unsupported("a range of temperatures is", (0,))] = None
    bad_words: Annotated[list[str] | None, Unsupported("bad_words are", ([],))] = None
    allowed_token_ids: Annotated[None, Unsupported("allowed_token_ids are")] = None
    n_predict: Annotated[Literal[-1] | None, Unsupported("n_predict (send max_tokens) is", (-1,))] = None


def stop_of(stop: str | list[str] | None) -> tuple[str, ...]:
    """One or several stop strings as the engine wants them."""
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def said(named: Mapping[str, T | None]) -> tuple[str, T | None]:
    """The one value that the fields of these names say together, and the first that said it. Raises
    InvalidRequestError where they contradict each other.
    """
    by, value = "", None
    for name, one in named.items():
        if one is None:
            continue
        if value is not None and one != value:
            raise contradiction(by, name)
        if value is None:
            by, value = name, one
    return by, value


def only(named: Mapping[str, T | None]) -> T | None:
    """The value alone."""
    return said(named)[1]


def contradiction(one: str, other: str) -> InvalidRequestError:
    return InvalidRequestError(f"{one} and {other} contradict each other; send one of them.", other)


def log_ignored(names: list[str], request_id: str) -> None:
    """Fields that nobody knows may be a client's mistake; it is told of each once."""
    new = [name for name in names if name not in _told][: MAX_TOLD - len(_told)]
    if not new:
        return
    _told.update(new)
    shown = ", ".join(ascii(name[:64]) for name in new[:20])
    logger.warning("request %s: fields not known here were ignored: %s", request_id, shown)
