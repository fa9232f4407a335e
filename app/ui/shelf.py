"""What the model shelf shows: models that are here, the catalogue, and what each would take of this machine.

Puts together what /v1 and the catalogue say; asks neither network nor engine. Sizes in bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ...serve.engine.cores import default_threads
from ...serve.models.catalog import DEMO, hub_names
from ...serve.models.fit.machine import Device, Machine
from ...serve.models.fit.outlook import outlook
from ...serve.models.fit.speed import tokens_per_second
from ...serve.models.hub import cache
from ...serve.models.hub.downloads import DISK_MARGIN
from ...serve.models.hub.variants import DEFAULT_QUANT, Variant
from ...serve.models.r1_models import R1_MODELS, R1Model, alias_of


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes with `n_ctx` tokens of context, and whether that is to be had: see serve/models/fit.

    `kv` null: the file is not here and nobody knows its shape; `total` is the least then. `tokens_per_s` is a guess
    from slow to fast.
    """

    verdict: str
    total: int
    weights: int
    kv: int | None
    n_ctx: int | None
    kv_type: str | None
    tokens_per_s: tuple[float, float]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A quantisation that could be fetched. `disk_short`: the disk has no room for it."""

    id: str
    quant: str
    size_bytes: int
    here: bool
    disk_short: bool
    needs: Needs


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the catalogue; its usual quantisation comes first."""

    alias: str
    repo: str
    original: str
    parameters: str
    licence: str
    scores: dict[str, float]
    scores_from: str
    choices: list[Choice]


class Shelf:
    """One look at the machine. `memory` is the body of GET /v1/memory, `rate` what its processor reads a second."""

    def __init__(self, memory: dict[str, Any], cards: list[dict[str, Any]], rate: float) -> None:
        self.machine = _machine(memory)
        self._memory = {model["id"]: model for model in memory["models"]}
        self._cards = cards
        self._here = {name for card in cards for name in (card["id"], *card["aliases"])}
        self._rate = rate
        self._disk_free = disk()["free"]

    def models(self, default: str) -> list[dict[str, Any]]:
        """Those that are here; `default` is what the server was started with."""
        return [self._model(card, default) for card in self._cards]

    def catalogue(self) -> list[Entry]:
        return [self._entry(model) for model in R1_MODELS.values()]

    def choices(self, repo: str, found: Sequence[Variant], revision: str | None) -> list[Choice]:
        """What the hub has of a repository, the usual quantisation first."""
        known = R1_MODELS.get(alias_of(repo) or "")
        ordered = sorted(found, key=lambda variant: (variant.label != DEFAULT_QUANT, variant.size))
        return [self._choice(hub_names(repo, one.label, revision)[0], one.label, one.size, known) for one in ordered]

    def _model(self, card: dict[str, Any], default: str) -> dict[str, Any]:
        held = self._memory.get(card["id"])
        measured = (held or {}).get("measured") or {}
        is_demo = card["id"] == DEMO and card["source"] in ("bundled", None)
        size = card["size_bytes"]
        return {
            "id": card["id"],
            "aliases": card["aliases"],
            "source": card["source"],
            "quant": card["quant"],
            "size_bytes": size,
            "state": card["state"],
            "error": card["error"],
            "is_demo": is_demo,
            "is_default": card["id"] == default,
            "alias": next(
                (alias for alias in R1_MODELS if alias in (card["id"].rsplit("@")[0], *card["aliases"])), None
            ),
            "removable": not is_demo and card["id"] != default and card["source"] is not None,
            "needs": self._needs(size, card["kv_bytes_per_token"], card["context_length"]) if size else None,
            "memory_bytes": measured.get("pss") or measured.get("rss"),
            "requests": held["requests"] if held else 0,
            "expires_in_s": held["expires_in_s"] if held else None,
            "n_ctx": held["n_ctx"] if held else None,
        }

    def _entry(self, model: R1Model) -> Entry:
        return Entry(
            alias=model.alias,
            repo=model.repo,
            original=model.original,
            parameters=model.parameters,
            licence=model.licence,
            scores=dict(model.scores),
            scores_from=model.scores_from,
            choices=[
                self._choice(hub_names(model.repo, quant)[0], quant, size, model) for quant, size in model.sizes.items()
            ],
        )

    def _choice(self, name: str, quant: str, size: int, known: R1Model | None) -> Choice:
        return Choice(
            id=name,
            quant=quant,
            size_bytes=size,
            here=name in self._here,
            disk_short=self._disk_free < size * DISK_MARGIN,
            needs=self._needs(size, known.kv_bytes_per_token if known else None, known.n_ctx if known else None),
        )

    def _needs(self, size: int, kv_bytes_per_token: int | None, longest: int | None) -> Needs:
        is_known = kv_bytes_per_token is not None and longest is not None
        found = outlook(size, kv_bytes_per_token or 0, longest or 1, self.machine)
        slow, fast = tokens_per_second(found, self.machine, self._rate)
        return Needs(
            verdict=found.verdict,
            total=found.total,
            weights=found.weights,
            kv=found.kv if is_known else None,
            n_ctx=found.n_ctx if is_known else None,
            kv_type=found.kv_type if is_known else None,
            tokens_per_s=(round(slow, 2), round(fast, 2)),
        )


def hardware(memory: dict[str, Any], rate: float) -> dict[str, Any]:
    """What the machine has, for one line."""
    return {
        "cores": default_threads(1 << 40),
        **memory["machine"],
        "gpus": memory["devices"],
        "budget": memory["budget"],
        "read_bytes_per_s": round(rate),
        "disk": disk(),
    }


def disk() -> dict[str, Any]:
    """Where downloads go, and what is free there."""
    folder = cache.cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return {"path": _short(folder), "free": shutil.disk_usage(existing).free}


def leftovers(pulled: Collection[str]) -> list[dict[str, Any]]:
    """Repositories with parts of downloads that stopped, but for those in `pulled` and those being fetched."""
    return [{"repo": repo, "bytes": size} for repo, size in cache.unfinished() if repo not in pulled]


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the hub."""
    from huggingface_hub import constants

    return bool(constants.is_offline_mode())


def _machine(memory: dict[str, Any]) -> Machine:
    """What idle models hold counts as free: they make room for the next."""
    measured = [model["measured"] or {} for model in memory["models"] if not model["requests"]]
    idle = sum(one.get("pss") or one.get("rss") or 0 for one in measured)
    ram = memory["machine"]
    gpus = tuple(Device(**gpu) for gpu in memory["devices"])
    return Machine(ram["ram_total"], min(ram["ram_total"], ram["ram_available"] + idle), gpus)


def _short(path: Path) -> str:
    home = os.path.expanduser("~")
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(f"{home}{os.sep}") else text
