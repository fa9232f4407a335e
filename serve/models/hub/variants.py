"""Which of a repository's files make one model: quantisations told apart by name, split files kept together.

Knows names and sizes only, of the hub or of the cache alike. Image projectors and importance matrices are passed over.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from ...engine.model_file import SPLIT
from ...errors import ModelNotFoundError
from ..sizes import human
from .ids import QUANT, file_label

DEFAULT_QUANT = "Q4_K_M"
SAFETENSORS = "SAFETENSORS"
_LABEL = re.compile(rf"(?:^|[-._/])({QUANT.pattern})$", re.I)
_NO_MODEL = re.compile(r"^mmproj|imatrix", re.I)
_FOLDER_FILES = re.compile(r"[^/]+\.(?:safetensors|json|jinja)|merges\.txt|[^/]*tokenizer\.model")


@dataclass(frozen=True)
class Variant:
    """One loadable model of a repository: its quantisation, its files in loading order, bytes in all.

    Labelled SAFETENSORS it is a whole folder, for the transformers engine.
    """

    label: str
    files: tuple[str, ...]
    size: int

    def answers_to(self, quant: str) -> bool:
        """Whether this is what somebody means who names a quantisation, or a file without its ending."""
        stem = SPLIT.sub("", PurePosixPath(self.files[0]).name.removesuffix(".gguf"))
        return quant.upper() in (self.label.upper(), stem.upper(), file_label(stem).upper())


def variants(files: Iterable[tuple[str, int]]) -> list[Variant]:
    """Groups (name, bytes) of a repository's files into loadable models; a split one needs all its parts."""
    files = sorted(files)
    groups: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, size in files:
        if name.lower().endswith(".gguf") and not _NO_MODEL.search(PurePosixPath(name).name):
            groups[SPLIT.sub("", name[: -len(".gguf")])].append((name, size))
    groups = {stem: members for stem, members in groups.items() if len(members) == _parts(members[0][0])}
    labels = [_label(stem) for stem in groups]
    found = [
        # Two models in one repository share a quantisation: only their names tell them apart.
        _variant(label if labels.count(label) == 1 else file_label(PurePosixPath(stem).name), members)
        for (stem, members), label in zip(groups.items(), labels, strict=True)
    ]
    return found + _folder(files)


def fragments(files: Iterable[tuple[str, int]]) -> list[str]:
    """Of the same (name, bytes), those that are parts of a split model which lacks others."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, _ in files:
        stem, _, ending = name.rpartition(".")
        if ending in ("gguf", "safetensors") and SPLIT.search(stem):
            groups[f"{SPLIT.sub('', stem)}.{ending}"].append(name)
    return [name for members in groups.values() if len(members) < _parts(members[0]) for name in members]


def _variant(label: str, members: list[tuple[str, int]]) -> Variant:
    return Variant(label, tuple(name for name, _ in members), sum(size for _, size in members))


def _parts(name: str) -> int:
    """How many files the model of this file has, by its name."""
    match = SPLIT.search(name.rpartition(".")[0])
    return int(match[2]) if match else 1


def _label(stem: str) -> str:
    match = _LABEL.search(stem)
    return match[1].upper() if match else file_label(PurePosixPath(stem).name)


def _folder(files: list[tuple[str, int]]) -> list[Variant]:
    """The safetensors of a repository with all that belongs to them, none of it code or pickles."""
    members = [(name, size) for name, size in files if _FOLDER_FILES.fullmatch(name)]
    shards = [name for name, _ in members if name.endswith(".safetensors")]
    if not shards or ("config.json" not in {name for name, _ in members}) or len(shards) < max(map(_parts, shards)):
        return []
    # config.json first: a variant's first file tells where it lies. Weights last: with all of them it counts as whole.
    order = sorted(members, key=lambda member: (member[0] != "config.json", member[0].endswith(".safetensors")))
    return [_variant(SAFETENSORS, order)]


def pick(found: list[Variant], quant: str | None) -> Variant | None:
    """The variant asked for; without a wish Q4_K_M, or the only GGUF there is."""
    for variant in found:
        if variant.answers_to(quant or DEFAULT_QUANT):
            return variant
    ggufs = [variant for variant in found if variant.label != SAFETENSORS]
    return ggufs[0] if quant is None and len(ggufs) == 1 else None


def choose(repo: str, found: list[Variant], quant: str | None) -> Variant:
    """The variant asked for. Raises ModelNotFoundError, which names what there is."""
    variant = pick(found, quant)
    if variant is not None:
        return variant
    choices = ", ".join(f"{variant.label} ({human(variant.size)})" for variant in found)
    if quant is None and [variant.label for variant in found] == [SAFETENSORS]:
        raise ModelNotFoundError(
            f"{repo} holds {choices} and no GGUF, which runs faster. Look for {repo.partition('/')[2]}-GGUF, "
            f"or take the folder: r1chat pull {repo}:safetensors"
        )
    if not found:
        raise ModelNotFoundError(
            f"{repo} holds no GGUF file, the one kind that llama.cpp loads. "
            f"Look for a repository whose name ends in -GGUF, then: r1chat run {repo}-GGUF"
        )
    raise ModelNotFoundError(
        f"{repo} has no {quant or DEFAULT_QUANT}; it has {choices}. Name one: r1chat run {repo}:{found[0].label}"
    )
