"""What a training is: its settings and its rows, in files that every process of it reads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...serve.files import replace_file
from ..students import Method
from .config import FREE
from .rows import EncodedRow

# These change how a training runs, never what comes of it: a run goes on with others.
_FREE = ("folder", *FREE)


@dataclass(frozen=True)
class Job:
    """`folder` holds all of a training: job.json, rows.npz, its checkpoints and, at last, `result`.

    `base_sha256` is of the base's files, `rows_sha256` of rows.npz.
    """

    folder: Path
    base: Path
    base_sha256: str
    rows_sha256: str
    method: Method
    learning_rate: float
    batch_size: int
    epochs: float
    max_steps: int | None
    lora_rank: int
    packing: bool
    seed: int
    save_every_s: float
    micro_batch_tokens: int | None

    @property
    def rows(self) -> Path:
        return self.folder / "rows.npz"

    @property
    def result(self) -> Path:
        """Where the trained weights are written: a Hugging Face folder, or an adapter's."""
        return self.folder / "result"

    def fingerprint(self) -> str:
        """Hash of all that decides the outcome. A checkpoint is used by the job that has its fingerprint."""
        deciding = {name: value for name, value in asdict(self).items() if name not in _FREE}
        deciding["base"] = None  # its files are meant, wherever they lie
        return hashlib.sha256(json.dumps(deciding, sort_keys=True, default=str).encode()).hexdigest()

    def write(self) -> Path:
        """Leaves the settings in job.json, for other processes."""
        path = self.folder / "job.json"
        with replace_file(path) as aside:
            aside.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")
        return path


def read_job(path: Path) -> Job:
    """The settings that `write` left."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Job(**{**found, "folder": Path(found["folder"]), "base": Path(found["base"])})


@dataclass(frozen=True)
class RowArrays:
    """Rows one after the other: tokens and labels (int32), and where each row begins (int64, one more than rows)."""

    input_ids: np.ndarray
    labels: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """(input_ids, labels) of a row."""
        span = slice(self.offsets[row], self.offsets[row + 1])
        return self.input_ids[span], self.labels[span]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.diff(self.offsets)

    @property
    def learnt(self) -> np.ndarray:
        """Tokens of each row that a loss is computed for; the first one has nothing before it to follow from."""
        counted = self.labels != -100
        counted[self.offsets[:-1]] = False
        sums = np.concatenate([[0], np.cumsum(counted)])
        return sums[self.offsets[1:]] - sums[self.offsets[:-1]]


class RowGatherer:
    """Takes rows one by one, because as Python lists they would fill the memory."""

    def __init__(self) -> None:
        self._ids: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, row: EncodedRow) -> None:
        self._ids.append(np.asarray(row.input_ids, dtype=np.int32))
        self._labels.append(np.asarray(row.labels, dtype=np.int32))

    def arrays(self) -> RowArrays:
        """Those added so far; at least one."""
        offsets = np.cumsum([0, *(len(ids) for ids in self._ids)], dtype=np.int64)
        return RowArrays(np.concatenate(self._ids), np.concatenate(self._labels), offsets)


def write_rows(path: Path, rows: RowArrays) -> str:
    """Writes them; a hash of their content."""
    with replace_file(path) as aside, aside.open("wb") as out:
        np.savez(out, input_ids=rows.input_ids, labels=rows.labels, offsets=rows.offsets)
    whole = hashlib.sha256()
    for array in (rows.input_ids, rows.labels, rows.offsets):
        whole.update(array.tobytes())
    return whole.hexdigest()


def read_rows(path: Path) -> RowArrays:
    """The rows that `write_rows` left."""
    with np.load(path, allow_pickle=False) as found:
        return RowArrays(found["input_ids"], found["labels"], found["offsets"])
