"""Checkpoints that a crash cannot spoil: written aside, flushed, sealed with a manifest, and only then in place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ...serve.files import put_in_place, replace_file, sha256_of

MANIFEST = "manifest.json"
_SHARE_OF_SAVING = 0.1  # checkpoints of large models may take this part of the time, whatever was asked for
_PREFIX = "step-"
_ASIDE = "writing"


def aside(folder: Path) -> Path:
    """Where a checkpoint is written before it is sealed."""
    return folder / _ASIDE


def clear_aside(folder: Path) -> None:
    """Removes what an interrupted writing left."""
    shutil.rmtree(aside(folder), ignore_errors=True)


def seal(written: Path, folder: Path, step: int, fingerprint: str) -> Path:
    """Makes the files in `written` the checkpoint of a step and removes older ones. After it returns, no crash
    loses it; a crash before leaves the older one.
    """
    files = [path for path in sorted(written.rglob("*")) if path.is_file()]
    manifest = {
        "step": step,
        "fingerprint": fingerprint,
        "files": {str(path.relative_to(written)): _seen(path) for path in files},
    }
    with replace_file(written / MANIFEST) as part:
        part.write_text(json.dumps(manifest), encoding="utf-8")
    place = folder / f"{_PREFIX}{step:08d}"
    shutil.rmtree(place, ignore_errors=True)
    put_in_place(written, place)
    _remove_all_but(place, folder)
    return place


def newest_whole(folder: Path, fingerprint: str) -> Path | None:
    """The latest checkpoint of this training whose files are all there, byte for byte; None where there is none."""
    found = sorted(folder.glob(f"{_PREFIX}*"), reverse=True) if folder.exists() else []
    return next((path for path in found if _is_whole(path, fingerprint)), None)


def interval(save_every_s: float, saving_s: float) -> float:
    """Seconds to the next checkpoint, where the last one took `saving_s`; 0: after every step, whatever it takes."""
    return max(save_every_s, saving_s / _SHARE_OF_SAVING) if save_every_s else 0.0


def last_step(folder: Path, fingerprint: str) -> int:
    """Of the checkpoint that is gone on from; -1 where there is none."""
    found = newest_whole(folder, fingerprint)
    return -1 if found is None else int(found.name.rpartition("-")[2])


def remove_checkpoints(folder: Path) -> None:
    """Takes all of them away."""
    _remove_all_but(None, folder)


def _is_whole(path: Path, fingerprint: str) -> bool:
    """Files that we did not write count as damage: some of a checkpoint's formats can carry code."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        there = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
        return (
            manifest["fingerprint"] == fingerprint
            and there == {MANIFEST, *manifest["files"]}
            and all(_seen(path / name) == seen for name, seen in manifest["files"].items())
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _seen(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def _remove_all_but(kept: Path | None, folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        if path != kept:
            shutil.rmtree(path, ignore_errors=True)
    clear_aside(folder)
