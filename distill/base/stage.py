"""base.json: which Hugging Face folder the student continues. It is a folder here, fetched from the hub, or, for
`tiny`, `small` and `demo`, a model trained for some minutes on conversations, so that there is something to improve.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config import DistillConfig
from ..errors import DistillError
from ..hf.folder import read_spec
from ..hf.gguf import read_model
from ..hf.tensors import read_json
from ..host import Host
from ..licences import licence_of_folder
from ..run_folder import RunFolder
from ..students import Student
from .tiny import make_tiny

# What training and export read; weights in other formats than safetensors are never opened.
PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer.model", "LICENSE*")


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Writes base.json. Raises DistillError where the base cannot be had."""
    student = config.student
    if student.base is None:
        path = make_tiny(config.base, student, folder)
    else:
        path = find_base(student, host)
        with _refused(student.base):
            read_model(path)  # all that export would refuse, before a teacher is asked for hours
    record = {
        "path": str(path.resolve()),
        "name": student.base or "made in this run",
        "licence": student.licence or licence_of_folder(path),
        "sha256": folder_hash(path),
    }
    folder.write_json(folder.base_record, record)
    return {"name": record["name"], "sha256": record["sha256"]}


def find_base(student: Student, host: Host) -> Path:
    """The folder of a base that is not made here; a Hub id is downloaded where it is not in the cache."""
    assert student.base is not None
    local = Path(student.base).expanduser()
    if (local / "config.json").is_file():
        return local
    if student.base.startswith(("/", ".", "~")):
        raise DistillError(
            f"{student.base} holds no config.json, so it is no model's folder. See which students there are: "
            "r1chat distill --help"
        )
    return _from_hub(student.base, host)


@contextmanager
def _refused(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise DistillError(f"{name} cannot be a student: {error}. Use: r1chat distill --student qwen-1.5b") from error


def _from_hub(repo: str, host: Host) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        here = Path(snapshot_download(repo, allow_patterns=list(PATTERNS), local_files_only=True))
        if _is_whole(here):
            return here
    except LocalEntryNotFoundError:
        pass
    host.say(f"Fetching {repo} ...")
    try:
        with _refused(repo):
            read_spec(read_json(Path(hf_hub_download(repo, "config.json"))), repo)  # before gigabytes of weights
        return Path(snapshot_download(repo, allow_patterns=list(PATTERNS)))
    except GatedRepoError as error:
        raise DistillError(
            f"{repo} is only for those who accepted its licence on its page. Then log in: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise DistillError(
            f"The hub has no model called {repo}. See which students there are: r1chat distill --help"
        ) from error
    except RemoteEntryNotFoundError as error:
        raise DistillError(
            f"{repo} holds no config.json, so it is no model's folder. See which students there are: "
            "r1chat distill --help"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise DistillError(
            f"{repo} is not here, and the hub cannot be reached. When online: r1chat distill --student {repo}"
        ) from error


def _is_whole(folder: Path) -> bool:
    """A download that was stopped, or somebody who wanted the tokeniser only, leaves a part of the files."""
    index = folder / "model.safetensors.index.json"
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values()) if index.exists() else set()
    except (ValueError, KeyError, AttributeError):
        return False
    wanted = {"config.json", *(shards or {"model.safetensors"})}
    texts = ("tokenizer.json", "tokenizer.model")
    return all((folder / name).is_file() for name in wanted) and any((folder / name).is_file() for name in texts)


def folder_hash(folder: Path) -> str:
    """Hash over the names and bytes of what is read of the folder: its weights, configuration and tokeniser."""
    whole = hashlib.sha256()
    for path in sorted({path for pattern in PATTERNS for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            whole.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
