"""Deletes models that r1chat keeps: those of the hub's cache, and students. Files elsewhere are not ours to delete."""

from __future__ import annotations

from ..errors import ModelNotFoundError
from . import catalog
from .hub import cache


def remove(name: str) -> tuple[str, int]:
    """Deletes the model of that name: its id, and the bytes freed. Raises ModelNotFoundError."""
    wanted = catalog.hub_id(name)
    entry = catalog.find_local(name)
    if entry is None and wanted is not None:
        # Nothing whole: what a stopped pull has left goes.
        freed = cache.remove_parts(wanted.repo)
        if freed:
            return str(wanted), freed
    if entry is None or entry.path == catalog.BUNDLED:
        raise ModelNotFoundError(f"There is no model {name!r} to delete. See what there is: r1chat list")
    if wanted is not None and (cached := cache.find(wanted)) is not None:
        return entry.id, cache.remove(cached)
    freed = entry.path.stat().st_size
    entry.path.unlink()
    entry.path.with_suffix(".json").unlink(missing_ok=True)
    return entry.id, freed
