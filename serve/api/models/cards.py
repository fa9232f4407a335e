"""Cards of the models of this machine: what lies on the shelf, with what the manager knows of those in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ...engine.config import TRANSFORMERS_RUNNER, EngineConfig
from ...models.facts import FactsReader, ModelFacts
from ...models.residents.manager import ModelManager, ModelSpec, Resident
from ...reasoning import CLOSE_TAG
from ..model_bodies import Capabilities, ModelCard, ModelMeta

if TYPE_CHECKING:
    from ...models.catalog import LocalModel

Shelf = Callable[[], Sequence["LocalModel"]]
ENGINES = {"llama": "llama.cpp", "transformers": "transformers"}


@dataclass(frozen=True)
class _Item:
    """A model as it lies there."""

    id: str
    owned_by: str
    path: Path | None
    created: int
    engine: str
    aliases: tuple[str, ...] = ()
    source: str | None = None
    quant: str | None = None
    size_bytes: int | None = None


class ModelCards:
    """`shelf` lists all models that could be served; it reads folders and is called on a thread."""

    def __init__(self, manager: ModelManager, shelf: Shelf, *, created: int) -> None:
        self._manager = manager
        self._shelf = shelf
        self._created = created
        self._facts = FactsReader()

    async def all(self) -> list[ModelCard]:
        """The default one first."""
        return [await self._card(item) for item in await self._items()]

    async def one(self, name: str) -> ModelCard:
        """By its id or another name for it. Raises ModelNotFoundError."""
        for item in await self._items():
            if name == item.id or name in item.aliases:
                return await self._card(item)
        spec = await self._manager.spec(name)
        return await self._card(next((i for i in await self._items() if i.id == spec.id), self._unlisted(spec)))

    async def _items(self) -> list[_Item]:
        listed = {model.id: _listed(model) for model in await asyncio.to_thread(self._shelf)}
        used = [resident.spec for resident in self._manager.residents]
        first = {spec.id: listed.get(spec.id) or self._unlisted(spec) for spec in used}
        return list({**first, **listed}.values())

    def _unlisted(self, spec: ModelSpec) -> _Item:
        """A file that was named by its path, or a model that is no file."""
        path = spec.config.model_path
        size = path.stat().st_size if path and path.is_file() else None
        engine = ENGINES["transformers" if spec.config.runner == TRANSFORMERS_RUNNER else "llama"]
        return _Item(spec.id, spec.owned_by, path, self._created, engine, size_bytes=size)

    async def _card(self, item: _Item) -> ModelCard:
        resident = next((one for one in self._manager.residents if one.spec.id == item.id), None)
        facts = await asyncio.to_thread(self._read, item, resident.spec.config if resident else None)
        error = self._manager.failure(item.id, *item.aliases)
        meta = ModelMeta.of(resident.engine.info) if resident and resident.engine.info else None
        state = _state(resident)
        return ModelCard(
            id=item.id,
            created=item.created,
            owned_by=item.owned_by,
            state="failed" if error and state != "loaded" else state,
            error=str(error) if error else None,
            aliases=list(item.aliases),
            source=item.source,
            quant=item.quant,
            size_bytes=item.size_bytes,
            context_length=facts.context_length if facts else None,
            kv_bytes_per_token=facts.kv_bytes_per_token if facts else None,
            capabilities=_capabilities(item, facts, resident),
            meta=meta,
        )

    def _read(self, item: _Item, config: EngineConfig | None) -> ModelFacts | None:
        if item.path is None:
            return None
        return self._facts.of(item.path, config.kv_type) if config else self._facts.of(item.path)


def _listed(model: LocalModel) -> _Item:
    entry = model.entry
    return _Item(
        entry.id,
        entry.owned_by,
        entry.path,
        int(model.modified),
        ENGINES[entry.engine],
        entry.aliases,
        model.source,
        model.quant,
        model.size_bytes,
    )


def _state(resident: Resident | None) -> Literal["unloaded", "loading", "loaded", "failed"]:
    """On the way out it is as good as gone; one whose process has died comes back by itself, unless that fails."""
    if resident is None or resident.state in ("unloaded", "unloading"):
        return "unloaded"
    if resident.state == "loading" or resident.engine.state in ("starting", "restarting"):
        return "loading"
    return "failed" if resident.engine.state == "broken" else "loaded"


def _capabilities(item: _Item, facts: ModelFacts | None, resident: Resident | None) -> Capabilities:
    info = resident.engine.info if resident else None
    if info:
        thinks = _thinks(info.chat_template)
        return Capabilities(engine=info.engine, reasoning=thinks, deterministic=info.deterministic)
    return Capabilities(engine=item.engine, reasoning=_thinks(facts.chat_template) if facts else None)


def _thinks(template: str | None) -> bool:
    """Without a template of its own a model gets R1's."""
    return template is None or CLOSE_TAG in template
