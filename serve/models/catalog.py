"""Which model a name means: `demo`, `r1:7b`, `user/repo:QUANT`, a student's name, or a path; and which are here.

Looks and has things fetched; it neither loads what it finds nor trusts it. What comes over the API goes
through `find_local`, which opens no path outside the models' own places.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..engine.model_file import SPLIT, parts_of
from ..errors import ModelNotFoundError
from . import r1_models
from .hub import ids
from .hub.ids import HubId
from .hub.variants import DEFAULT_QUANT, SAFETENSORS

if TYPE_CHECKING:
    from .hub.cache import Cached

DEMO = "demo"
BUNDLED = Path(__file__).parent / "bundled" / "r1chat-demo.gguf"
Engine = Literal["llama", "transformers"]
_STUDENT = re.compile(r"[A-Za-z0-9._-]{1,96}")


@dataclass(frozen=True)
class ModelEntry:
    """A model that lies on this machine. `id` is what clients name it by; `aliases` mean the same model.

    `path` is a GGUF (the first, of a split one), or a folder of safetensors for the transformers engine; `adapter`
    the GGUF of a LoRA that is added to it.
    """

    id: str
    path: Path
    owned_by: str = "r1chat"
    engine: Engine = "llama"
    aliases: tuple[str, ...] = ()
    adapter: Path | None = None

    @property
    def own_path(self) -> Path:
        """What is this model's alone: an adapter's base belongs to another."""
        return self.adapter or self.path


@dataclass(frozen=True)
class LocalModel:
    """A model that could be served now. `paths` are its files; `modified` is in seconds since 1970.

    A `student` came from `r1chat import` or a distillation; a `file` was put beside them by hand.
    """

    entry: ModelEntry
    paths: tuple[Path, ...]
    size_bytes: int
    quant: str | None
    source: Literal["bundled", "hub", "student", "file"]
    modified: float

    @property
    def id(self) -> str:
        return self.entry.id


def resolve(name: str, *, progress: bool = True) -> ModelEntry:
    """The model behind a name, fetched first where it is not here; `progress` shows a download on stderr.

    What is here is taken as it is, without a word to the hub: `r1chat pull` looks for newer ones.
    Raises ModelNotFoundError, whose text ends with a command that helps.
    """
    if entry := _our_own(name) or _by_path(name) or find_local(name):
        return entry
    wanted = hub_id(name)
    if wanted is None:
        raise ModelNotFoundError(
            f"There is no model called {name[:100]!r}: a name is `demo`, r1:1.5b to r1:70b, a path to a .gguf file, or "
            "user/repo:QUANT. Try: r1chat run demo"
        )
    # Brings in the hub's client, which all that is here does without.
    from .hub.downloads import Download
    from .hub.progress import shown

    download = Download(wanted, name=name)
    with shown(download, visible=progress):
        return hub_entry(download.run(), wanted.revision)


def find_local(name: str) -> ModelEntry | None:
    """The model of that name if it is on this machine; no network, and no path: names come from strangers."""
    if entry := _our_own(name):
        return entry
    wanted = hub_id(name)
    if wanted is None:
        return None
    from .hub.cache import find

    cached = find(wanted)
    return None if cached is None else hub_entry(cached, wanted.revision)


def hub_id(name: str) -> HubId | None:
    """Where a short or full name of a hub model points; None where it is no such name."""
    return r1_models.hub_id(name) or ids.parse(name)


def folder_name(name: str) -> str:
    """The name of the same model as a folder of safetensors, for the transformers engine; paths are as they are."""
    if model := r1_models.R1_MODELS.get(name.lower()):
        return f"{model.original}:safetensors"
    wanted = None if _our_own(name) or os.path.exists(os.path.expanduser(name)) else hub_id(name)
    return name if wanted is None else str(replace(wanted, quant="safetensors"))


def hub_names(repo: str, label: str, revision: str | None = None) -> tuple[str, ...]:
    """What a model of the hub is called, the shortest name first; `label` is that of its variant."""
    at = f"@{revision}" if revision else ""
    full = f"{repo}:{label.lower() if label == SAFETENSORS else label}{at}"
    if alias := r1_models.alias_of(repo):
        return alias + ("" if label == DEFAULT_QUANT else f":{label.lower()}") + at, full
    return (full,)


def hub_entry(cached: Cached, revision: str | None = None) -> ModelEntry:
    """A cached model under the shortest name that says which it is."""
    name, *aliases = hub_names(cached.repo, cached.variant.label, revision)
    owner = cached.repo.split("/")[0]
    if cached.variant.label == SAFETENSORS:
        return ModelEntry(name, cached.snapshot, owner, "transformers", tuple(aliases))
    return ModelEntry(name, cached.paths[0], owner, aliases=tuple(aliases))


def local_models() -> list[LocalModel]:
    """Every model that could be served now: the bundled one, students, then the hub's. Opens no model file."""
    from .hub.cache import everything

    bundled = _local(ModelEntry(DEMO, BUNDLED), (BUNDLED,), "Q8_0", "bundled")
    students = [model for path in sorted(models_folder().glob("*.gguf")) if (model := _student(path))]
    return [bundled, *students, *(_from_hub(cached) for cached in everything() if _is_servable(cached))]


def local_model(name: str) -> LocalModel | None:
    """The model of that name or path, if it is here. Raises ModelNotFoundError for a path that holds none."""
    if not _our_own(name) and (entry := _by_path(name)):
        files = sorted(entry.path.glob("*")) if entry.engine == "transformers" else parts_of(entry.path)
        return _local(entry, tuple(path for path in files if path.is_file()), None, "file")
    found = find_local(name)
    return next((model for model in local_models() if found and model.entry.own_path == found.own_path), None)


def _local(
    entry: ModelEntry,
    paths: tuple[Path, ...],
    quant: str | None,
    source: Literal["bundled", "hub", "student", "file"],
) -> LocalModel:
    # Another process may delete what was just listed.
    told = [path.stat() for path in paths if path.exists()]
    size, modified = sum(item.st_size for item in told), max((item.st_mtime for item in told), default=0.0)
    return LocalModel(entry, paths, size, quant, source, modified)


def _student(path: Path) -> LocalModel | None:
    try:
        entry = _our_own(path.stem)
    except ModelNotFoundError:
        return None  # an adapter whose base is gone cannot be served
    split = SPLIT.search(path.stem)
    if entry is None or entry.own_path != path or (split and int(split[1]) != 1):
        return None
    card, stem = read_card(path), path.stem[: split.start()] if split else path.stem
    quant = str(card["quant"]).upper() if card and "quant" in card else None
    if quant is None and (match := re.search(rf"[-._]({ids.QUANT.pattern})$", stem, re.I)):
        quant = match[1].upper()
    return _local(entry, tuple(parts_of(path)), quant, "file" if card is None else "student")


def _from_hub(cached: Cached) -> LocalModel:
    return _local(hub_entry(cached), cached.paths, cached.variant.label, "hub")


def _is_servable(cached: Cached) -> bool:
    """Leaves out the folders of other tools' models, which write no text."""
    if cached.variant.label != SAFETENSORS:
        return True
    config = read_json(cached.snapshot / "config.json")
    names = config.get("architectures")
    return isinstance(names, list) and any(str(name).endswith("ForCausalLM") for name in names)


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds; an empty one where it holds none, or is not there."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def models_folder() -> Path:
    """Where students and imported models lie, one NAME.gguf each: R1CHAT_MODELS, or the user's data folder."""
    # Read here, not in app/cli.py: every way to a model's name ends in this function.
    if folder := os.environ.get("R1CHAT_MODELS"):
        return Path(os.path.expanduser(folder))
    from platformdirs import user_data_path

    return user_data_path("r1chat") / "models"


def student_path(name: str) -> Path:
    """Where the model of this name lies, or would. Raises ModelNotFoundError for what is no name."""
    if not _STUDENT.fullmatch(name):
        raise ModelNotFoundError(
            f"{name[:100]!r} is no name for a model: up to 96 letters, digits, dots, dashes and underscores are. "
            "Try: r1chat list"
        )
    return models_folder() / f"{name}.gguf"


def read_card(path: Path) -> dict[str, object] | None:
    """What `r1chat import` noted beside a student; None where there is no such note."""
    card = path.with_suffix(".json")
    return read_json(card) if card.is_file() else None


def _our_own(name: str) -> ModelEntry | None:
    """The bundled model or a student of this name. Raises ModelNotFoundError for an adapter without its base."""
    if name == DEMO:
        return ModelEntry(DEMO, BUNDLED)
    if not _STUDENT.fullmatch(name):
        return None
    path = student_path(name)
    if not path.is_file():
        return None
    base = (read_card(path) or {}).get("adapter_of")
    return ModelEntry(name, path, owned_by="user") if base is None else _adapted(name, path, str(base))


def _adapted(name: str, path: Path, base: str) -> ModelEntry:
    """A student that is an adapter, on the model that its card names."""
    # an adapter of an adapter, or two of each other, would never end
    is_whole = not _STUDENT.fullmatch(base) or "adapter_of" not in (read_card(student_path(base)) or {})
    entry = find_local(base) if is_whole else None
    if entry is None or entry.engine != "llama":
        fetch = f"r1chat pull {base}" if hub_id(base) else f"r1chat rm {name}"
        raise ModelNotFoundError(
            f"{name} is an adapter of {base[:100]!r}, and that is no GGUF here. Fetch it, or delete the rest: {fetch}"
        )
    return ModelEntry(name, entry.path, owned_by="user", adapter=path)


def _looks_like_a_path(name: str) -> bool:
    is_file = name.lower().endswith(".gguf") and not ids.is_address(name)
    return is_file or name.startswith(("/", "./", "../", "~"))


def _by_path(name: str) -> ModelEntry | None:
    """The model that lies there, if the name is a path. Raises ModelNotFoundError where nobody can load it."""
    path = os.path.expanduser(name)
    is_path = _looks_like_a_path(name) or (name and os.path.exists(path))
    return _file_entry(Path(path)) if is_path else None


def _file_entry(path: Path) -> ModelEntry:
    """A model named by its path, or the reason why nobody can load it."""
    quoted, around = shlex.quote(str(path)), shlex.quote(str(path.parent))
    if not os.path.exists(path):
        raise ModelNotFoundError(f"There is no file {path}. See what lies there: ls {around}")
    if path.is_dir() and not _holds_safetensors(path):
        raise ModelNotFoundError(
            f"{path} is a folder without config.json and safetensors; else a model is one .gguf file. "
            f"Choose one: ls {quoted}"
        )
    if not (path.is_dir() or path.is_file()):
        # A pipe would be waited on for ever.
        raise ModelNotFoundError(f"{path} is neither a file nor a folder. See what lies there: ls -l {around}")
    if not os.access(path, os.R_OK):
        raise ModelNotFoundError(f"{path} may not be read by this user. Try: chmod u+r {quoted}")
    if path.is_dir():
        return ModelEntry(path.resolve().name, path, "user", "transformers")
    return ModelEntry(path.stem, path, owned_by="user")


def _holds_safetensors(path: Path) -> bool:
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))
