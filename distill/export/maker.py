"""Makes the GGUFs of one model. None is put in its place before llama.cpp computed from it what transformers does.

First a file without loss is written and compared; K-quants are rounded from it, the other types from the folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...serve.models.gguf.adapter_writer import write_adapter
from ...serve.models.gguf.quantize import quantize
from ...serve.models.gguf.stamp import stamp
from ...serve.models.gguf.writer import FileType, MetadataValue, OnProgress
from ..errors import DistillError
from ..hf.adapter import read_lora
from ..hf.gguf import DIRECT, HfModel, write_model
from ..hf.parity import MOST_ERROR, ParityReport, Reference, compare, reference
from ..rows import content_id
from .manifest import Manifest, Record
from .steps import Steps

# Above, the file to compare is not widened to F32: 8 GB of disk are enough for that.
MAX_WIDENED = 2_000_000_000
# The first in units of the logits' spread, where that is above 1: nothing but the order of sums differs, which may
# turn two tokens that are equally likely.
MAX_LOGIT_DIFF, LEAST_TOP1 = 1e-2, 0.97
# A K-quant of random numbers came to 0.6, two models with nothing in common are 1.4 apart.
MOST_ROUNDED = 1.2
STEPS_OF_PROOF = 2
ADAPTER = "adapter"


@dataclass(frozen=True)
class Subject:
    """A model to be written. `source` is a hash of its weights and texts; `texts` the folder of its tokeniser and
    template; `metadata` goes into each file.
    """

    model: HfModel
    source: str
    texts: Path
    metadata: Mapping[str, str]

    def key(self, *more: str) -> str:
        return content_id(self.source, json.dumps(self.metadata, sort_keys=True), self.model.spec.name, *more)

    def header(self, proof: ParityReport | None) -> dict[str, MetadataValue]:
        """Keys of a file, with room for what will be measured of it."""
        return {**self.metadata, **_numbers(proof), **_numbers(None, "file.")}


@dataclass(frozen=True)
class Proven:
    """A file that holds the folder's numbers as they are, and computes the same."""

    path: Path
    kind: FileType
    report: ParityReport
    reference: Reference


@dataclass(frozen=True)
class Making:
    """How a file is made: `key` is a hash of all that decides what it holds, `write` compares it, too."""

    key: str
    quant: str
    write: Callable[[Path, Proven, OnProgress], ParityReport]


@dataclass(frozen=True)
class Lora:
    """peft's folder of an adapter of the subject; the rest as of a Subject."""

    folder: Path
    source: str
    name: str
    metadata: Mapping[str, str]


class Maker:
    """Works in the folder of `manifest`."""

    def __init__(self, folder: Path, manifest: Manifest, steps: Steps) -> None:
        self._folder = folder
        self._manifest = manifest
        self._steps = steps

    def make(self, subject: Subject, quants: Mapping[str, str], lora: Lora | None = None) -> dict[str, Record]:
        """Name of a file -> its record: of the names with their quantisation, and of `adapter`. Raises DistillError
        where one computes something else, ModelLoadError where llama.cpp takes none, ValueError for weights with no
        place in a GGUF.
        """
        makings = {name: self._whole(subject, name, quant) for name, quant in quants.items()}
        if lora:
            makings[ADAPTER] = self._adapter(replace(subject, metadata=lora.metadata), lora)
        records = {name: found for name, making in makings.items() if (found := self._manifest.find(name, making.key))}
        if len(records) == len(makings):
            self._steps.skip(STEPS_OF_PROOF + len(makings))
            return records
        with self._proven(subject) as proven:
            for name, making in makings.items():
                progress = self._steps.next()
                if name not in records:
                    with self._aside(name) as made:
                        report = making.write(made, proven, progress)
                        proof = {"parity": asdict(report), "lossless": asdict(proven.report)}
                        records[name] = self._manifest.put(made, name, making.key, quant=making.quant, **proof)
        return records

    def _whole(self, subject: Subject, name: str, quant: str) -> Making:
        def write(made: Path, proven: Proven, progress: OnProgress) -> ParityReport:
            if kind := DIRECT.get(quant):
                write_model(subject.model, made, kind, metadata=subject.header(proven.report), on_progress=progress)
            else:
                quantize(proven.path, made, quant, n_threads=os.cpu_count() or 1, on_tensor=progress)
            report = compare(proven.reference, made)
            _check(report, kind, f"{name}.gguf", subject.model.folder)
            stamp(made, _numbers(report, "file."))
            return report

        return Making(subject.key(quant), quant, write)

    def _adapter(self, subject: Subject, lora: Lora) -> Making:
        def write(made: Path, proven: Proven, progress: OnProgress) -> ParityReport:
            spec, (pairs, scale) = replace(subject.model.spec, name=lora.name), read_lora(lora.folder)
            write_adapter(made, spec=spec, pairs=pairs, scale=scale, metadata=subject.header(None))
            ours = reference(subject.model.folder, tokenizer_dir=subject.texts, adapter=lora.folder)
            report = compare(ours, proven.path, adapter=made)
            kind: FileType = "F16" if proven.kind == "F32" else proven.kind
            _check(report, kind, f"{ADAPTER}.gguf", subject.model.folder)
            stamp(made, _numbers(report) | _numbers(report, "file."))
            return report

        return Making(subject.key(ADAPTER, lora.source, lora.name), "F16", write)

    @contextmanager
    def _proven(self, subject: Subject) -> Iterator[Proven]:
        model = subject.model
        kind: FileType = "F32" if model.tensors.n_params < MAX_WIDENED else model.lossless_type
        with self._aside("lossless") as wide:
            write_model(model, wide, kind, metadata=subject.header(None), on_progress=self._steps.next())
            self._steps.next()
            ours = reference(model.folder, tokenizer_dir=subject.texts)
            report = compare(ours, wide)
            _check(report, kind, f"the GGUF of {model.folder.name}", model.folder)
            stamp(wide, _numbers(report))
            yield Proven(wide, kind, report, ours)

    @contextmanager
    def _aside(self, name: str) -> Iterator[Path]:
        aside = self._folder / f".{name}.{os.getpid()}.part.gguf"
        try:
            yield aside
        finally:
            aside.unlink(missing_ok=True)


def _check(report: ParityReport, kind: FileType | None, name: str, folder: Path) -> None:
    """Raises DistillError where the report is that of another model, tokeniser or template; no kind: a K-quant's."""
    wrong = not report.relative_error <= (MOST_ERROR[kind] if kind else MOST_ROUNDED)
    if kind == "F32":
        wrong |= report.max_logit_diff > MAX_LOGIT_DIFF * max(1.0, report.logit_std)
        wrong |= report.top1_agreement < LEAST_TOP1
    if wrong or not report.text_ok():
        raise DistillError(
            f"{name} does not compute, cut and render what its folder does ({report}); nothing was registered. "
            f"Serve the folder as it is: r1chat run {folder} --engine transformers"
        )


def _numbers(report: ParityReport | None, of: str = "") -> dict[str, float]:
    """Keys of a GGUF; of no report yet, to be filled in. `file.` is of a file's own rounding."""
    told: dict[str, float] = {
        "max_logit_diff": report.max_logit_diff if report else -1.0,
        "relative_error": report.relative_error if report else -1.0,
        "top1_agreement": report.top1_agreement if report else -1.0,
    }
    if not of:
        told |= {
            "positions": report.positions if report else 0,
            "strings": report.strings if report else 0,
            "tokenizer_mismatches": len(report.tokenizer_mismatches) if report else -1,
            "templates": report.templates if report else 0,
            "template_mismatches": len(report.template_mismatches) if report else -1,
        }
    return {f"r1chat.parity.{of}{key}": value for key, value in told.items()}
