"""What may stand in a recipe's file, made of the settings of the stages: a misspelt field is no field."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..base.config import BaseConfig
from ..evaluate.config import EvaluateConfig
from ..filter.config import FilterConfig
from ..generate.config import GenerateConfig
from ..grpo.config import GrpoConfig
from ..sft.config import SftConfig
from ..stream.config import StreamConfig
from ..verify.config import VerifyConfig

CONFIGS: dict[str, type] = {
    "stream": StreamConfig,
    "base": BaseConfig,
    "generate": GenerateConfig,
    "verify": VerifyConfig,
    "filter": FilterConfig,
    "sft": SftConfig,
    "grpo": GrpoConfig,
    "evaluate": EvaluateConfig,
}
# What follows from the recipe itself is not written down again.
_FOLLOWS = {("stream", "start"), ("generate", "known_teacher"), ("evaluate", "teacher"), ("evaluate", "base")}
_ZERO_IS_NOTHING = {
    "minutes", "steps", "epochs", "learning_rate", "matrix_learning_rate", "k", "n", "concurrency", "max_tokens",
    "max_problems", "max_steps", "batch_size", "tokens", "tokens_per_step", "lora_rank", "prompts_per_step",
    "minibatches", "num_iterations", "max_completion_tokens", "sync_every", "watch_every", "timeout_s", "workers",
}  # fmt: skip
_LEAST = {"num_generations": 2}
_MOST = {"temperature": 2, "top_p": 1}  # as the server has them
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=40)]


def file_type() -> type[msgspec.Struct]:
    """Of the whole file; a field that is not given is UNSET, so that what is given can be told."""
    sections = {section: _strict(section, config) for section, config in CONFIGS.items()}
    optional = [(section, kind | UnsetType, UNSET) for section, kind in sections.items()]
    step = msgspec.defstruct(
        "Step",
        [
            ("name", Name),
            ("begins", str | None, None),
            ("budget", Annotated[str, Meta(pattern="^as .")] | None, None),
            ("rounds", Annotated[int, Meta(ge=1, le=20)], 1),
            ("measure", bool, True),
            *optional,
        ],
        rename={"begins": "from"},
        forbid_unknown_fields=True,
    )
    shared = [part for part in optional if part[0] in ("verify", "evaluate")]
    return msgspec.defstruct(
        "Recipe",
        [
            ("name", Name),
            ("steps", Annotated[list[step], Meta(min_length=1)]),  # type: ignore[valid-type]
            ("about", str, ""),
            ("takes", str, ""),
            ("student", str, "tiny"),
            *shared,
        ],
        forbid_unknown_fields=True,
    )


def settings_of(section: str, given: dict[str, Any]) -> Any:
    """The stage's settings with those that are given. Raises msgspec.ValidationError."""
    return msgspec.convert(given, CONFIGS[section], dec_hook=lambda made, value: made(value))


def allowed_at(path: list[str | int]) -> list[str]:
    """The fields that an object at this place may have, or the words that may stand there."""
    kind: Any = msgspec.inspect.type_info(file_type())
    for part in path:
        kind = next((found for found in _within(kind, part)), None)
    if isinstance(kind, msgspec.inspect.StructType):
        return [field.encode_name for field in kind.fields]
    words = [part for part in _parts(kind) if isinstance(part, msgspec.inspect.LiteralType)]
    return [str(value) for part in words for value in part.values]


def _within(kind: Any, part: str | int) -> Iterator[Any]:
    for one in _parts(kind):
        if isinstance(one, msgspec.inspect.StructType):
            yield from (field.type for field in one.fields if field.encode_name == part)
        elif isinstance(one, msgspec.inspect.ListType | msgspec.inspect.VarTupleType) and isinstance(part, int):
            yield one.item_type


def _parts(kind: Any) -> tuple[Any, ...]:
    """Of a union its members that hold something."""
    if not isinstance(kind, msgspec.inspect.UnionType):
        return (kind,)
    parts = [part for part in kind.types if not isinstance(part, msgspec.inspect.NoneType)]
    return tuple(parts)


def _strict(section: str, config: type) -> type[msgspec.Struct]:
    """A struct that refuses what the dataclass has not."""
    hints = get_type_hints(config)
    names = [field.name for field in fields(config) if (section, field.name) not in _FOLLOWS]
    return msgspec.defstruct(
        config.__name__,
        [(name, _narrowed(name, hints[name]) | UnsetType, UNSET) for name in names],
        forbid_unknown_fields=True,
    )


def _narrowed(name: str, kind: Any) -> Any:
    """The type with the bounds that its name implies; no setting is below zero."""
    if get_origin(kind) in (Union, types.UnionType):
        return Union[tuple(_narrowed(name, part) for part in get_args(kind))]  # noqa: UP007
    if is_dataclass(kind):
        return _strict(name, kind)  # type: ignore[arg-type]
    if kind in (int, float):
        most = _MOST.get(name)
        bounds = Meta(gt=0, le=most) if name in _ZERO_IS_NOTHING else Meta(ge=_LEAST.get(name, 0), le=most)
        return Annotated[kind, bounds]
    return str if kind is Path else kind
