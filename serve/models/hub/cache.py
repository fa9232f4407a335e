"""The cache that all of the hub's tools share: finds models in it, puts arrived files in place, removes them.

Its layout (blobs by digest, snapshots of links, refs) is the hub's; no network, no path outside of it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .ids import HubId
from .variants import Variant, fragments, pick, variants

_FOLDER = re.compile(r"models--([\w.-]+?)--([\w.-]+)", re.ASCII)


@dataclass(frozen=True)
class Cached:
    """A whole model in the cache. `paths` in loading order."""

    repo: str
    commit: str
    variant: Variant
    snapshot: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.snapshot / name for name in self.variant.files)


def cache_folder() -> Path:
    """HF_HUB_CACHE, as the hub's own tools understand it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def repo_folder(repo: str) -> Path:
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def find(wanted: HubId) -> Cached | None:
    """The model as it lies in the cache, whole; of several commits the one that `main` was last, then the newest."""
    for snapshot in _snapshots(repo_folder(wanted.repo), wanted.revision):
        variant = pick(_variants(snapshot), wanted.quant)
        if variant is not None:
            return Cached(wanted.repo, snapshot.name, variant, snapshot)
    return None


def everything() -> Iterator[Cached]:
    """Every whole model in the cache, each quantisation once. What vanishes meanwhile is passed over."""
    for repo, folder in _repos():
        seen: set[str] = set()
        for snapshot in _snapshots(folder, None):
            for variant in _variants(snapshot):
                if variant.label not in seen:
                    seen.add(variant.label)
                    yield Cached(repo, snapshot.name, variant, snapshot)


def unfinished() -> list[tuple[str, int]]:
    """Repositories of which downloads were begun, not ended, and are not under way; with the bytes kept of them."""
    parts = {repo: [_size(path) for path in folder.glob("blobs/*.incomplete")] for repo, folder in _repos()}
    return [(repo, sum(sizes)) for repo, sizes in parts.items() if sizes and not is_fetching(repo)]


def _repos() -> list[tuple[str, Path]]:
    folders = sorted(cache_folder().glob("models--*"))
    return [("/".join(match.groups()), folder) for folder in folders if (match := _FOLDER.fullmatch(folder.name))]


def _snapshots(folder: Path, revision: str | None) -> list[Path]:
    """The folders that may hold what is asked for, the likeliest first."""
    found = [path for path in folder.glob("snapshots/*") if path.is_dir()]
    found.sort(key=_modified, reverse=True)
    ref = _ref(folder, revision or "main")
    if revision:
        return [path for path in found if path.name == ref or (len(revision) >= 7 and path.name.startswith(revision))]
    return sorted(found, key=lambda path: path.name != ref)


def _ref(folder: Path, name: str) -> str | None:
    try:
        return (folder / "refs" / name).read_text().strip()
    except (OSError, ValueError):
        return None


def _variants(snapshot: Path) -> list[Variant]:
    return variants(_files(snapshot))


def _files(snapshot: Path) -> Iterator[tuple[str, int]]:
    """Names and bytes. A link whose blob is gone is no file, and its model not whole."""
    files = [path for path in snapshot.rglob("*") if path.is_file()]
    return ((path.relative_to(snapshot).as_posix(), _size(path)) for path in files)


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def blob_path(repo: str, digest: str) -> Path:
    return repo_folder(repo) / "blobs" / digest


def part_path(repo: str, digest: str) -> Path:
    """Where a file grows until it is whole."""
    return blob_path(repo, f"{digest}.incomplete")


def lock_path(repo: str, digest: str) -> Path:
    """The lock that all of the hub's tools take while they fetch the file."""
    return cache_folder() / ".locks" / repo_folder(repo).name / f"{digest}.lock"


def put_in_place(repo: str, commit: str, name: str, digest: str) -> None:
    """Names a whole part: first as a blob, then in the snapshot. Raises FileNotFoundError where neither is left."""
    part, blob = part_path(repo, digest), blob_path(repo, digest)
    link = repo_folder(repo) / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() or not blob.exists():
        os.replace(part, blob)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(os.path.relpath(blob, link.parent))
    except OSError:
        # Windows without the right to make links: the hub's tools move the file then, too.
        os.replace(blob, link)


def note_revision(repo: str, revision: str, commit: str) -> None:
    """Remembers which commit a branch or tag was, for days without network."""
    if revision == commit:
        return
    ref = repo_folder(repo) / "refs" / revision
    if ref.is_file() and ref.read_text() == commit:
        return  # the cache may be one that others alone may write
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)


def remove(cached: Cached, *, revision: str | None) -> int:
    """Deletes a model's files, those of one revision where it was named, and what only they needed; bytes freed."""
    folder = repo_folder(cached.repo)
    where = f"snapshots/{_literal(cached.snapshot.name)}" if revision else "snapshots/*"
    links = [link for name in cached.variant.files for link in folder.glob(f"{where}/{_literal(name)}")]
    return sum(_unlink(folder, link) for link in links) + _sweep(cached.repo)


def _unlink(folder: Path, link: Path) -> int:
    """A snapshot's file, with its blob where no other snapshot has it; bytes freed."""
    blob, size = _target(link), _size(link)
    link.unlink()
    if _is_linked(folder, blob):
        return 0
    blob.unlink(missing_ok=True)
    return size


def has_parts(repo: str) -> bool:
    """Whether a download of the repository was begun and not ended."""
    return any(repo_folder(repo).glob("blobs/*.incomplete"))


def is_fetching(repo: str) -> bool:
    """Whether one of the hub's tools is at work on a part of the repository."""
    from filelock import Timeout
    from huggingface_hub.utils import WeakFileLock

    for part in repo_folder(repo).glob("blobs/*.incomplete"):
        # <digest>.incomplete, and of newer tools <digest>.<their own number>.incomplete
        lock = lock_path(repo, part.name.partition(".")[0])
        try:
            if lock.exists():
                with WeakFileLock(lock, timeout=0.01):
                    pass
        except Timeout:
            return True
    return False


def remove_parts(repo: str) -> int:
    """Deletes what unfinished downloads have left of a repository, whole files of a split model, too; bytes freed."""
    folder = repo_folder(repo)
    parts = list(folder.glob("blobs/*.incomplete"))
    freed = sum(map(_size, parts))
    for part in parts:
        part.unlink(missing_ok=True)
    for snapshot in folder.glob("snapshots/*"):
        freed += sum(_unlink(folder, snapshot / name) for name in fragments(_files(snapshot)))
    return freed + _sweep(repo)


def _sweep(repo: str) -> int:
    """Deletes a repository's folder once no file is left in it, another tool's neither; bytes freed."""
    folder = repo_folder(repo)
    if has_parts(repo) or any(not path.is_dir() or path.is_symlink() for path in folder.glob("snapshots/**/*")):
        return 0
    freed = sum(map(_size, folder.glob("blobs/*")))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(cache_folder() / ".locks" / folder.name, ignore_errors=True)
    return freed


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _target(link: Path) -> Path:
    """The blob that a snapshot's link names. One step only: a blob may itself be a link, to a store of all caches."""
    return Path(os.path.normpath(link.parent / os.readlink(link))) if link.is_symlink() else link


def _is_linked(folder: Path, blob: Path) -> bool:
    return any(_target(path) == blob for path in folder.glob("snapshots/**/*") if path.is_symlink())
