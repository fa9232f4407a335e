"""Which file a model's name means: `demo`, a path to a GGUF, or `user/repo[:QUANT]` on the Hugging Face hub.

Looks and fetches; it neither reads nor loads what it finds.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import ModelNotFoundError

DEMO = "demo"
BUNDLED = Path(__file__).parent / "bundled" / "r1chat-demo.gguf"
_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<quant>[^:/\s]+))?", re.ASCII)


@dataclass(frozen=True)
class ModelEntry:
    """A model that lies on this machine. `id` is what clients name it by."""

    id: str
    path: Path
    owned_by: str = "r1chat"


def resolve(name: str, *, progress: bool = True) -> ModelEntry:
    """The file behind a name, fetched first where need be; `progress` shows a download on stderr.

    Raises ModelNotFoundError, whose text ends with a command that helps.
    """
    if name == DEMO:
        return ModelEntry(DEMO, _readable(BUNDLED))
    path = Path(name).expanduser()
    if (name and path.exists()) or _looks_like_a_path(name):
        return ModelEntry(path.stem, _readable(path), owned_by="user")
    match = _REPO.fullmatch(name)
    if match is None:
        raise ModelNotFoundError(
            f"There is no model called {name!r}: a name is `demo`, a path to a .gguf file, or user/repo:QUANT. "
            "Try: r1chat run demo"
        )
    # Brings in the hub's client, which the demo and local files do without.
    from .hub import fetch

    path = fetch(match["repo"], match["quant"], progress=progress)
    return ModelEntry(name, path, owned_by=match["repo"].split("/")[0])


def _looks_like_a_path(name: str) -> bool:
    return name.lower().endswith(".gguf") or name.startswith(("/", "./", "../", "~"))


def _readable(path: Path) -> Path:
    """The path as it is, or the reason why nobody can load it."""
    if not path.exists():
        raise ModelNotFoundError(f"There is no file {path}. See what lies there: ls {path.parent}")
    if path.is_dir():
        raise ModelNotFoundError(f"{path} is a folder, and a model is one .gguf file. Choose one: ls {path}")
    if not os.access(path, os.R_OK):
        raise ModelNotFoundError(f"{path} may not be read by this user. Try: chmod u+r {path}")
    return path
