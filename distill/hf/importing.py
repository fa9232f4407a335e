"""A Hugging Face folder becomes a served file: written, quantised, compared with its folder, then put in place.

All of it happens in hidden files beside the target, so that the target is a whole and compared model or not there.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...serve.files import replace_file
from ...serve.models.gguf.info import read_info
from ...serve.models.gguf.quant_size import file_bytes
from ...serve.models.gguf.quantize import quantize
from ...serve.models.gguf.writer import FileType
from .gguf import DIRECT, HfModel, write_model
from .parity import MOST_ERROR, ParityReport, Reference, compare, reference, round_trip_failures

# told a stage ("write", "compare", "quantize", "compare again"), what is done of it, and all
OnStage = Callable[[str, int, int], None]


class ImportRefusedError(Exception):
    """What was written does not compute what the folder does."""


@dataclass(frozen=True)
class Imported:
    """A model in its place. `parity` is of the file; `lossless` of what it was rounded from, where that was
    another file. Without torch and transformers both are None, and only texts were looked at.
    """

    path: Path
    quant: str
    n_bytes: int
    seconds: float
    parity: ParityReport | None
    lossless: ParityReport | None
    strings: int
    round_trip_failures: list[str]

    def warnings(self) -> list[str]:
        """What a person should know although the model is served, a line each."""
        told = [f"{len(self.round_trip_failures)} of {self.strings} texts do not come back from their tokens"]
        if self.parity is not None:
            told.append(f"{len(self.parity.tokenizer_mismatches)} of {self.strings} texts are cut otherwise")
            told.append(f"{len(self.parity.template_mismatches)} of {self.parity.templates} chats render otherwise")
        return [line for line in told if not line.startswith("0 ")]


def needed_bytes(model: HfModel, quant: str) -> tuple[int, int]:
    """Disk the finished file takes, and the most that is taken while it is made."""
    shapes = model.spec.tensor_shapes()
    final = file_bytes(shapes, quant)
    return final, final if quant in DIRECT else final + file_bytes(shapes, model.lossless_type)


def import_model(model: HfModel, target: Path, quant: str, on_stage: OnStage, *, note: dict[str, Any]) -> Imported:
    """Writes `target`, and its card beside it as .json: `note` and what was found.

    Raises ValueError for weights that the type cannot hold, ModelLoadError for what llama.cpp does not load,
    and ImportRefusedError where logits lie too far from the folder's.
    """
    started = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _hidden(target) as (wide, made):
        direct = DIRECT.get(quant)
        first, kind = (made, direct) if direct else (wide, model.lossless_type)
        write_model(model, first, kind, on_progress=lambda done, of: on_stage("write", done, of))
        read_info(first)
        with _counted(on_stage, "compare"):
            folder = _reference(model)
            proof = None if folder is None else _proven(folder, first, kind)
        parity = proof
        if direct is None:
            threads = os.cpu_count() or 1
            quantize(wide, made, quant, n_threads=threads, on_tensor=lambda i, n: on_stage("quantize", i, n))
            wide.unlink()
            with _counted(on_stage, "compare again"):
                parity = None if folder is None else compare(folder, made)
        failures, strings = _texts(model, made, parity)
        imported = Imported(
            path=target,
            quant=quant,
            n_bytes=made.stat().st_size,
            seconds=time.monotonic() - started,
            parity=parity,
            lossless=None if direct else proof,
            strings=strings,
            round_trip_failures=failures,
        )
        _put(made, target, {**note, **_card(imported)})
    return imported


@contextmanager
def _counted(on_stage: OnStage, stage: str) -> Iterator[None]:
    on_stage(stage, 0, 1)
    yield
    on_stage(stage, 1, 1)


@contextmanager
def _hidden(target: Path) -> Iterator[tuple[Path, Path]]:
    """Two paths beside the target that are gone afterwards, whatever happens."""
    _sweep(target)
    wide, made = (target.with_name(f".{target.name}.{os.getpid()}.{kind}") for kind in ("wide", "made"))
    try:
        yield wide, made
    finally:
        wide.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    """Removes what an import of the same name left that was killed outright."""
    pattern = re.compile(rf"\.+{re.escape(target.name)}\.(\d+)\.(wide|made)(\.\d+\.part)?")
    for path in target.parent.iterdir():
        match = pattern.fullmatch(path.name)
        if match and not _is_alive(int(match[1])):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _reference(model: HfModel) -> Reference | None:
    try:
        return reference(model.folder)
    except ImportError:
        return None
    except Exception as error:
        # Whatever it stumbles over in somebody's folder, it is the folder's.
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(f"transformers does not take the folder ({reason:.200})") from error


def _proven(folder: Reference, gguf: Path, kind: FileType) -> ParityReport:
    report = compare(folder, gguf)
    if not report.relative_error <= MOST_ERROR[kind]:
        raise ImportRefusedError(f"the file does not compute what the folder does ({report})")
    return report


def _texts(model: HfModel, made: Path, parity: ParityReport | None) -> tuple[list[str], int]:
    if parity is not None:
        return list(parity.round_trip_failures), parity.strings
    return round_trip_failures(made, model.tokenizer)


def _card(imported: Imported) -> dict[str, Any]:
    return {
        "quant": imported.quant,
        "bytes": imported.n_bytes,
        "seconds": round(imported.seconds, 1),
        "parity": imported.parity and asdict(imported.parity),
        "lossless": imported.lossless and asdict(imported.lossless),
        "strings": imported.strings,
        "round_trip_failures": imported.round_trip_failures,
    }


def _put(made: Path, target: Path, card: dict[str, Any]) -> None:
    with replace_file(target.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    made.replace(target)
