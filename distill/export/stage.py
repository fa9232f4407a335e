"""The trained student becomes GGUFs that are served by its name, and the base GGUFs that speak as it does.

parity.json: {"name", "run", "kind" ("full", "merged" or "adapter"), "registered", "quant", "files": {name: record}};
the student's files are named by their quantisation, the base's `base-<quant>`, an adapter is `adapter`.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...serve.errors import ModelLoadError, R1ChatError
from ...serve.models.gguf.quant_size import file_bytes
from ...serve.models.gguf.quantize import FILE_TYPES
from ..base.stage import folder_hash
from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..hf.gguf import read_model
from ..hf.tensors import read_json
from ..hf.tokenizer import read_tokenizer
from ..host import Host
from ..pipeline import stale
from ..rows import content_id
from ..run_folder import RunFolder
from ..sft.formats import write_format
from .maker import ADAPTER, STEPS_OF_PROOF, Lora, Maker, Subject
from .manifest import Manifest, Record
from .merge import merge
from .provenance import Provenance, provenance
from .steps import Steps


@dataclass(frozen=True)
class Written:
    """The files of a run by their names. `served` is the student's, or its adapter's, that is registered."""

    kind: str
    files: Mapping[str, Record]
    served: str


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Writes and registers the student; a file that still fits is kept. Raises DistillError."""
    again = f"r1chat distill export --run-dir {quoted(folder.root)}"
    try:
        _check_settings(config, folder, again)
        if before := [name for name in stale(config, folder) if name not in ("export", "evaluate")]:
            host.say(
                f"What is exported was trained before the settings of {' and '.join(before)}, or what they read, "
                f"changed. To train on what there is now: r1chat distill --run-dir {quoted(folder.root)}"
            )
        return _run(config, folder, host)
    except DistillError:
        raise
    except ModelLoadError as error:
        raise DistillError(f"llama.cpp does not take what was written: {error}. To write it again: {again}") from error
    except R1ChatError as error:  # of a name that is taken, or none
        raise DistillError(str(error)) from error
    except ValueError as error:
        raise DistillError(f"The student cannot be written as a GGUF: {error}. Once that is mended: {again}") from error


def _check_settings(config: DistillConfig, folder: RunFolder, again: str) -> None:
    if not config.export.quants or (unknown := set(config.export.quants) - set(FILE_TYPES)):
        wrong = ", ".join(sorted(unknown)) if config.export.quants else "nothing"
        raise DistillError(f"There is no quantisation {wrong}; there are {', '.join(FILE_TYPES)}. For example: {again}")
    kind = folder.read_json(folder.trained).get("kind")
    if kind not in ("full", "adapter"):
        raise DistillError(f"{folder.trained.name} does not say what was trained. Train again: r1chat distill sft")
    trained = folder.student / "config.json" if kind == "full" else folder.adapter / "adapter_config.json"
    if not trained.exists():
        raise DistillError(
            f"{trained.parent} is gone, so there is nothing to export. Train again: "
            f"rm {quoted(folder.trained)} && r1chat distill sft --run-dir {quoted(folder.root)}"
        )
    if config.export.adapter and kind == "full":
        reason = "The whole student was trained, so there is no adapter to keep"
        raise DistillError(f"{reason}. Without it: {again} --no-adapter")


def _run(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    started = time.monotonic()
    folder.parity.unlink(missing_ok=True)  # from here on it may not be true of the files
    origin, quant = provenance(config, folder), config.export.quants[0]
    written = _adapter_files(config, folder, origin) if config.export.adapter else _whole_files(config, folder, origin)
    card = _card(folder, origin, quant)
    of_student = {"adapter_of": f"{config.name}-base"} if config.export.adapter else {}
    if config.export.adapter and config.export.register:
        _register(host, folder, written.files[f"base-{quant}"], of_student["adapter_of"], card)
    place = folder.root / written.files[written.served]["path"]
    if config.export.register:
        place = _register(host, folder, written.files[written.served], config.name, card | of_student)
    parity = {
        "name": config.name,
        "run": origin.run,
        "kind": written.kind,
        "quant": quant,
        "registered": str(place),
        "provenance": asdict(origin),
        "files": dict(written.files),
    }
    folder.write_json(folder.parity, parity)
    return _summary(written, place, time.monotonic() - started)


def _whole_files(config: DistillConfig, folder: RunFolder, origin: Provenance) -> Written:
    is_adapter = folder.read_json(folder.trained)["kind"] == "adapter"
    quants = {quant: quant for quant in config.export.quants}
    first = config.export.quants[0]
    of_base = {f"base-{first}": first} if config.export.base else {}
    steps = Steps(folder, is_adapter + (1 + len(of_base)) * STEPS_OF_PROOF + len(quants) + len(of_base))
    if is_adapter:
        steps.next()
        merge(folder)
    student = _student(config, folder, origin)
    maker = _maker(folder, steps, quants | of_base, student)
    files = maker.make(student, quants)
    if of_base:
        files |= maker.make(_base(folder, origin, folder.student), of_base)
    return Written("merged" if is_adapter else "full", files, first)


def _adapter_files(config: DistillConfig, folder: RunFolder, origin: Provenance) -> Written:
    """The base in every quantisation, and what is added to it."""
    quants = {f"base-{quant}": quant for quant in config.export.quants}
    steps = Steps(folder, STEPS_OF_PROOF + len(quants) + 1)
    lora = Lora(folder.adapter, folder_hash(folder.adapter), config.name, origin.metadata())
    with tempfile.TemporaryDirectory(prefix="r1chat-") as texts:
        # By its config.json transformers tells what rules its tokeniser has.
        shutil.copyfile(_base_path(folder) / "config.json", Path(texts) / "config.json")
        write_format(_base_path(folder), Path(texts))
        base = _base(folder, origin, Path(texts))
        maker = _maker(folder, steps, {**quants, ADAPTER: "F16"}, base)
        return Written("adapter", maker.make(base, quants, lora), ADAPTER)


def _student(config: DistillConfig, folder: RunFolder, origin: Provenance) -> Subject:
    model = read_model(folder.student, config.name)
    return Subject(model, folder_hash(folder.student), folder.student, origin.metadata())


def _base(folder: RunFolder, origin: Provenance, texts: Path) -> Subject:
    """With the student's tokeniser and template, so that a comparison of the two is one of weights."""
    path = _base_path(folder)
    own = read_model(path, origin.base or path.name)
    model = replace(own, tokenizer=read_tokenizer(texts, read_json(texts / "config.json")))
    source = content_id(origin.base_sha256 or folder_hash(path), repr(model.tokenizer))
    return Subject(model, source, texts, {"general.license": origin.licence, "r1chat.texts_of": origin.name})


def _base_path(folder: RunFolder) -> Path:
    return Path(folder.read_json(folder.base_record)["path"])


def _maker(folder: RunFolder, steps: Steps, quants: Mapping[str, str], subject: Subject) -> Maker:
    folder.gguf.mkdir(exist_ok=True)
    manifest = Manifest(folder.gguf)
    manifest.sweep(quants)
    _check_disk(folder, manifest, quants, subject)
    return Maker(folder.gguf, manifest, steps)


def _check_disk(folder: RunFolder, manifest: Manifest, quants: Mapping[str, str], subject: Subject) -> None:
    """Raises DistillError before hours of writing would end in a full disk."""
    shapes = subject.model.spec.tensor_shapes()
    missing = [quant for name, quant in quants.items() if not manifest.path(name).exists()]
    needed = file_bytes(shapes, "F32") + sum(file_bytes(shapes, quant) for quant in missing)
    free = shutil.disk_usage(folder.gguf).free
    if free < needed:
        raise DistillError(
            f"The GGUFs take up to {needed / 1e9:.1f} GB of disk, and {folder.gguf} has {free / 1e9:.1f} GB free. "
            f"Make room, then: r1chat distill export --run-dir {quoted(folder.root)}"
        )


def _card(folder: RunFolder, origin: Provenance, quant: str) -> dict[str, Any]:
    """What lies beside a registered model. `source` is whose it is: a later export of the run replaces it."""
    return {
        "source": str(folder.root.resolve()),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quant": quant,
        **{key: value for key, value in asdict(origin).items() if key != "name" and value},
    }


def _register(host: Host, folder: RunFolder, record: Record, name: str, card: dict[str, Any]) -> Path:
    measured = {key: record[key] for key in ("bytes", "sha256", "parity", "lossless")}
    return host.register(folder.root / record["path"], name, card | measured)


def _summary(written: Written, place: Path, seconds: float) -> dict[str, Any]:
    return {
        "kind": written.kind,
        "registered": str(place),
        "seconds": round(seconds, 1),
        "bytes": {name: record["bytes"] for name, record in written.files.items()},
        "max_logit_diff": written.files[written.served]["lossless"]["max_logit_diff"],
        "relative_error": {name: record["parity"]["relative_error"] for name, record in written.files.items()},
    }
