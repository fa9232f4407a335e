"""Who is asked for traces: a server's URL, or a model of this machine that is put behind /v1 meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...serve.client import ApiError, Client, ServerUnreachableError
from ...serve.errors import R1ChatError
from ..errors import DistillError
from ..host import Host
from ..rows import Teacher
from .config import GenerateConfig

SILENCE_S = (
    900.0  # a long queue lies before a first token, and some servers send nothing until the whole reply is there
)
# Their terms restrict the training of other models on what theirs write.
RESTRICTED = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com", "api.x.ai")


@dataclass(frozen=True)
class Reached:
    """A teacher that answers. `fields` are what its requests carry beyond the standard ones."""

    client: Client
    teacher: Teacher
    fields: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def reach(config: GenerateConfig, host: Host, again: str) -> AsyncIterator[Reached]:
    """The configured teacher, for as long as the block runs. Raises DistillError, and what `host.serve` raises."""
    assert config.teacher is not None
    if not is_url(config.teacher):
        async with host.serve(config.teacher) as served:
            async with Client(served.url, model=served.model, timeout=SILENCE_S) as client:
                yield Reached(client, config.known_teacher or served.teacher, {"priority": "batch"})
        return
    async with Client(config.teacher, api_key=host.teacher_key, timeout=SILENCE_S) as client:
        client.model = config.teacher_model or await _only_model(client, again)
        if urlsplit(config.teacher).hostname in RESTRICTED:
            host.say(
                f"The terms of {config.teacher} restrict training on its replies; read them before you share a student."
            )
        yield Reached(client, Teacher(name=client.model, licence=licence_of(client.model)))


def is_url(teacher: str) -> bool:
    return teacher.startswith(("http://", "https://"))


def licence_of(model: str) -> str | None:
    """Of the weights behind a well-known name; both of these allow distillation."""
    name = model.lower()
    if "distill-llama" in name:
        return "Llama 3"
    return "MIT" if "deepseek" in name else None


async def _only_model(client: Client, again: str) -> str:
    try:
        names = [str(card["id"]) for card in await client.models()]
    except ServerUnreachableError as error:
        raise DistillError(f"{error}. Once it is in reach, run: {again}") from error
    except (ApiError, KeyError, TypeError) as error:
        reason = error.message if isinstance(error, R1ChatError) else "not of the API's form"
        key = isinstance(error, ApiError) and error.status in (401, 403)
        mend = f"Set the key: R1CHAT_TEACHER_KEY=... {again}" if key else f"Name one: {again} --teacher-model ID"
        raise DistillError(f"{client.base_url} does not say which models it has ({reason}). {mend}") from error
    if len(names) != 1:
        some = ", ".join(names[:8]) or "none"
        raise DistillError(f"{client.base_url} has {len(names)} models ({some}). Name one: {again} --teacher-model ID")
    return names[0]
