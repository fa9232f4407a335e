"""The grammar of a hub model's name: `[hf.co/|huggingface.co/|hf://|URL]user/repo[:QUANT][@revision]`.

Text to parts and back; looks nothing up and touches no file. LM Studio's `user/repo@q4_k_m` is understood too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from ...engine.model_file import SPLIT

QUANT = re.compile(r"(?:UD-)?I?Q\d(?:_[0-9A-Z]+)*|T?Q\d_\d|BF16|F16|F32|MXFP4(?:_MOE)?|NVFP4|SAFETENSORS", re.I)
_HOST = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://", re.I)
_PART = r"[A-Za-z0-9_](?:[\w.-]{0,94}[\w-])?"
_NAME = re.compile(
    rf"(?P<repo>{_PART}/{_PART})(?::(?P<quant>\w[\w.-]{{0,127}}))?(?:@(?P<revision>\w[\w.-]{{0,127}}(?:/\w[\w.-]{{0,127}})*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class HubId:
    """A model on the hub. `quant` is a quantisation or a file's stem; None for the usual one, and for main."""

    repo: str
    quant: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo + (f":{self.quant}" if self.quant else "") + (f"@{self.revision}" if self.revision else "")


def is_address(name: str) -> bool:
    """Whether the name says by itself that it is one of the hub."""
    return _HOST.match(name) is not None


def parse(name: str) -> HubId | None:
    """The parts of a hub model's name, or None where it is not one."""
    prefix = _HOST.match(name)
    rest = re.split(r"[?#]", name[prefix.end() :])[0].rstrip("/") if prefix else name
    if prefix and rest.count("/") > 1 and "@" not in rest:
        return _from_address(rest)
    match = _NAME.fullmatch(rest)
    # The hub allows neither in a name, and its cache folders are written with two dashes.
    if match is None or any(odd in name for odd in ("..", "--")):
        return None
    quant, revision = match["quant"], match["revision"]
    if quant is None and revision and QUANT.fullmatch(revision):
        quant, revision = revision, None
    return HubId(match["repo"], quant, revision)


def file_label(stem: str) -> str:
    """A file's name without its ending, as it may stand where a quantisation does: `My Model (v2)` is My-Model-v2."""
    plain = re.sub(r"[^\w.-]+|\.{2,}", "-", stem, flags=re.ASCII)
    return re.sub(r"-{2,}", "-", plain).strip("-.")[:128].rstrip("-.") or "model"


def _from_address(rest: str) -> HubId | None:
    """What a browser's address bar shows: user/repo/tree/REVISION or user/repo/blob/REVISION/FILE.gguf."""
    parts = unquote(rest).split("/")
    repo, kind, revision, file = "/".join(parts[:2]), parts[2], "/".join(parts[3:4]), "/".join(parts[4:])
    if kind not in ("tree", "blob", "resolve", "raw") or not revision:
        return None
    stem = file_label(SPLIT.sub("", PurePosixPath(file).name.removesuffix(".gguf")))
    name = repo + (f":{stem}" if file.endswith(".gguf") else "") + ("" if revision == "main" else f"@{revision}")
    return parse(name)
