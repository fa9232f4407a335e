"""Which models are measured beside one another, and how each is put behind /v1."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...serve.files import sha256_of
from ...serve.models.gguf.info import read_info
from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..host import Host, Served
from ..rows import Teacher
from ..run_folder import RunFolder

Key = Literal["teacher", "base", "student"]


@dataclass(frozen=True)
class Arm:
    """One measured model: a GGUF with or without an adapter, the name of a model that is here, or a /v1 URL.

    What is known of it before it is served: `quant`, and `sha256` of all its files; None where only the host, or
    nobody, knows.
    """

    key: Key
    model: Path | str
    quant: str | None = None
    sha256: str | None = None
    adapter: Path | None = None
    asked_as: str | None = None

    @property
    def is_url(self) -> bool:
        return isinstance(self.model, str) and self.model.startswith(("http://", "https://"))

    @property
    def template(self) -> str | None:
        """Hash of the chat template in the file."""
        if not isinstance(self.model, Path):
            return None
        return hashlib.sha256((read_info(self.model).chat_template or "").encode()).hexdigest()[:16]

    def model_name(self, config: DistillConfig) -> str:
        """What people call it; empty where only its host knows."""
        if self.key == "student":
            return config.name
        return "" if self.key == "teacher" else config.student.base or config.student.name


def find_arms(config: DistillConfig, folder: RunFolder) -> list[Arm]:
    """Teacher and base, where wanted, and the student in every quant that was exported. Raises DistillError where one
    is missing.
    """
    arms = []
    if config.evaluate.teacher and config.generate.teacher is not None:
        arms.append(Arm("teacher", config.generate.teacher, asked_as=config.generate.teacher_model))
    if config.evaluate.base:
        first = config.export.quants[0]
        arms.append(_of_files("base", first, folder.gguf / f"base-{first}.gguf", folder))
    return arms + list(_students(config, folder))


def _students(config: DistillConfig, folder: RunFolder) -> Iterator[Arm]:
    """An adapter is measured on the base it was exported beside."""
    adapter = folder.gguf / "adapter.gguf"
    for quant in config.export.quants:
        whole, base = folder.gguf / f"{quant}.gguf", folder.gguf / f"base-{quant}.gguf"
        if config.export.adapter and adapter.exists():
            if base.exists():
                yield _of_files("student", quant, base, folder, adapter)
        else:
            yield _of_files("student", quant, whole, folder)


def _of_files(key: Key, quant: str, model: Path, folder: RunFolder, adapter: Path | None = None) -> Arm:
    if not model.exists():
        raise DistillError(
            f"{model.name} is not in the run's folder. Make it again: "
            f"rm -f {quoted(folder.parity)} && r1chat distill export --run-dir {quoted(folder.root)}"
        )
    return Arm(key, model, quant, _digest(model, *([adapter] if adapter else [])), adapter)


def _digest(*files: Path) -> str:
    """SHA-256 of a file; of several, that of theirs."""
    found = [sha256_of(path) for path in files]
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


@asynccontextmanager
async def serve_arm(arm: Arm, host: Host) -> AsyncIterator[Served]:
    """The arm behind /v1 while the block runs. Raises what the host raises."""
    if arm.is_url:
        url = str(arm.model)
        yield Served(url, arm.asked_as or await _first_model(url, host), Teacher(name=arm.asked_as or url))
        return
    async with host.serve(arm.model, adapter=arm.adapter) as served:
        yield served


async def _first_model(url: str, host: Host) -> str:
    from ...serve.client import Client

    async with Client(url, api_key=host.teacher_key) as client:
        models = await client.models()
    if not models:
        raise DistillError(f"{url} offers no model. Name one: --teacher-model ID")
    return str(models[0]["id"])
