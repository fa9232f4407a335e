"""Fetches a GGUF from the Hugging Face hub into the cache that all its tools share.

huggingface_hub does the transfer, the resuming and the progress bar; what is ours is the choice of the
file: quantisations are told apart by name, split files belong together, image projectors are passed over.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelNotFoundError

DEFAULT_QUANT = "Q4_K_M"
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$")
_QUANT = re.compile(r"(?:^|[-._/])((?:UD-)?I?Q\d(?:_[0-9A-Z]+)*|T?Q\d_\d|BF16|F16|F32|MXFP4(?:_MOE)?)$", re.I)


@dataclass(frozen=True)
class Variant:
    """One loadable model of a repository: its quantisation, its files in loading order, bytes in all."""

    label: str
    files: tuple[str, ...]
    size: int


def fetch(repo: str, quant: str | None, *, progress: bool = True) -> Path:
    """Path of the variant's first file, downloaded if it is not yet in the cache.

    Without network, what the cache holds is used. Raises ModelNotFoundError.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    listing = _listing(repo)
    variant = choose(repo, variants(listing.files), quant)
    _check_disk(repo, listing.commit, variant)
    # By branch where the hub answers: that keeps the cache's note of what `main` is, for days without network.
    revision = listing.commit if listing.offline else None
    (enable_progress_bars if progress else disable_progress_bars)()
    with _HubErrors(repo, quant):
        paths = [hf_hub_download(repo, name, revision=revision) for name in variant.files]
    return Path(paths[0])


def variants(files: Iterable[tuple[str, int]]) -> list[Variant]:
    """Groups (name, bytes) of a repository's files into loadable models; a split one needs all its parts."""
    groups: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, size in sorted(files):
        if name.lower().endswith(".gguf") and not Path(name).name.lower().startswith("mmproj"):
            groups[_SPLIT.sub("", name[: -len(".gguf")])].append((name, size))
    groups = {stem: members for stem, members in groups.items() if len(members) == _parts(members[0][0])}
    labels = [_label(stem) for stem in groups]
    return [
        # Two models in one repository share a quantisation: only their names tell them apart.
        Variant(
            label if labels.count(label) == 1 else Path(stem).name,
            tuple(name for name, _ in members),
            sum(size for _, size in members),
        )
        for (stem, members), label in zip(groups.items(), labels, strict=True)
    ]


def _parts(name: str) -> int:
    """How many files the model of this file has, by its name."""
    match = _SPLIT.search(name[: -len(".gguf")])
    return int(match[2]) if match else 1


def _label(stem: str) -> str:
    match = _QUANT.search(stem)
    return match[1].upper() if match else Path(stem).name


def choose(repo: str, found: list[Variant], quant: str | None) -> Variant:
    """The variant asked for; without a wish Q4_K_M, or the only one there is."""
    wanted = (quant or DEFAULT_QUANT).upper()
    for variant in found:
        if variant.label.upper() == wanted:
            return variant
    if not found:
        raise ModelNotFoundError(
            f"{repo} holds no GGUF file, the one kind that llama.cpp loads. "
            f"Look for a repository whose name ends in -GGUF, then: r1chat run {repo}-GGUF"
        )
    if quant is None and len(found) == 1:
        return found[0]
    choices = ", ".join(f"{variant.label} ({_human(variant.size)})" for variant in found)
    raise ModelNotFoundError(
        f"{repo} has no {quant or DEFAULT_QUANT}; it has {choices}. Name one: r1chat run {repo}:{found[0].label}"
    )


@dataclass(frozen=True)
class _Listing:
    """Names and sizes of a repository's files at one commit; `offline` where only cached ones are known."""

    files: list[tuple[str, int]]
    commit: str
    offline: bool


def _listing(repo: str) -> _Listing:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    try:
        with _HubErrors(repo, None):
            info = HfApi().model_info(repo, files_metadata=True, timeout=30)
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        return _cached_listing(repo, error)
    files = [(item.rfilename, item.size or 0) for item in info.siblings or []]
    return _Listing(files, info.sha or "main", offline=False)


def _cached_listing(repo: str, reason: Exception) -> _Listing:
    """What the cache holds of the repository: the newest of its snapshots."""
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE, f"models--{repo.replace('/', '--')}", "snapshots")
    newest = max(snapshots.glob("*/"), key=lambda folder: folder.stat().st_mtime, default=None)
    if newest is None:
        raise ModelNotFoundError(
            f"{repo} is not in the cache and the hub cannot be reached ({_first_line(reason)}). "
            "The bundled model needs no network: r1chat run demo"
        ) from reason
    files = [path for path in newest.rglob("*") if path.is_file()]
    named = [(path.relative_to(newest).as_posix(), path.stat().st_size) for path in files]
    return _Listing(named, newest.name, offline=True)


def _check_disk(repo: str, commit: str, variant: Variant) -> None:
    """Refuses a download that cannot end well before a byte of it is written."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    if all(isinstance(try_to_load_from_cache(repo, name, revision=commit), str) for name in variant.files):
        return
    cache = Path(HF_HUB_CACHE)
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if not os.access(existing, os.W_OK):
        raise ModelNotFoundError(f"The cache {cache} cannot be written. Choose another: HF_HOME=/a/folder r1chat ...")
    if free < variant.size:
        raise ModelNotFoundError(
            f"{repo}:{variant.label} needs {_human(variant.size)} and {existing} has {_human(free)} free. "
            "Make room, or choose another disk: HF_HOME=/some/folder r1chat ..."
        )


class _HubErrors:
    """Turns the hub client's refusals into one line each; a failed connection passes through."""

    def __init__(self, repo: str, quant: str | None) -> None:
        self.name = f"{repo}:{quant}" if quant else repo

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from huggingface_hub import errors

        if isinstance(error, errors.GatedRepoError):
            raise ModelNotFoundError(
                f"{self.name} is gated: accept its terms on its page, then: hf auth login"
            ) from error
        if isinstance(error, (errors.RepositoryNotFoundError, errors.HFValidationError)):
            raise ModelNotFoundError(
                f"The hub has no public model {self.name}. Check the spelling; a private one needs: hf auth login"
            ) from error
        if isinstance(error, (errors.HfHubHTTPError, errors.EntryNotFoundError)):
            raise ModelNotFoundError(
                f"The hub did not deliver {self.name} ({_first_line(error)}). Try again: r1chat run {self.name}"
            ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _human(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
