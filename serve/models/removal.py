"""Deletes models that r1chat keeps: those of the hub's cache, and students. Files elsewhere are not ours to delete."""

from __future__ import annotations

from ..engine.model_file import parts_of
from ..errors import ModelNotFoundError
from . import catalog
from .hub import cache


def remove(name: str) -> tuple[str, int]:
    """Deletes the model of that name: its id, and the bytes freed. Raises ModelNotFoundError."""
    wanted = catalog.hub_id(name)
    entry = _find(name)
    if wanted is not None and (entry is None or (name == wanted.repo and cache.has_parts(name))):
        # Nothing whole, or the name by which `r1chat list` tells of stopped pulls: what they have left goes.
        if cache.is_fetching(wanted.repo):
            raise ModelNotFoundError(f"{wanted.repo} is being fetched. Once that has ended: r1chat rm {name}")
        freed = cache.remove_parts(wanted.repo)
        if freed or entry is not None:
            return f"stopped pulls of {wanted.repo}", freed
    if entry is None or entry.own_path == catalog.BUNDLED:
        raise ModelNotFoundError(f"There is no model {name!r} to delete. See what there is: r1chat list")
    if wanted is not None and (cached := cache.find(wanted)) is not None:
        return entry.id, cache.remove(cached, revision=wanted.revision)
    parts = parts_of(entry.own_path)
    freed = sum(part.stat().st_size for part in parts)
    for part in parts:
        part.unlink()
    entry.own_path.with_suffix(".json").unlink(missing_ok=True)
    return entry.id, freed


def _find(name: str) -> catalog.ModelEntry | None:
    """An adapter whose base is gone is found, too."""
    try:
        return catalog.find_local(name)
    except ModelNotFoundError:
        return catalog.ModelEntry(name, catalog.student_path(name))
