"""What the rows of a run were made from, so that run.json can say it: hashes of files, commits of datasets."""

from __future__ import annotations

from pathlib import Path

from ...serve.files import sha256_of
from .benchmarks import BENCHMARKS
from .hub import HUB_ID, newest_commit
from .records import is_file
from .traces import HUB_NAMES, keyed_paths


def provenance(spec: str) -> str:
    """`sha256:...` of a file (of two, where golds come from another), `commit:...` of a dataset of the Hub;
    `generated` where code of ours or of a package is the source. To be called once the rows have been read.
    """
    name, _, path = spec.partition("=")
    if name in BENCHMARKS:
        return _of_files(path) if path else _of_dataset(BENCHMARKS[name].hub)
    paths = keyed_paths(spec)
    if is_file(paths[0]):
        return _of_files(*paths)
    dataset = HUB_NAMES.get(spec, spec)
    return _of_dataset(dataset) if HUB_ID.fullmatch(dataset) else "generated"


def _of_files(*paths: str) -> str:
    return "sha256:" + " ".join(sha256_of(Path(path)) for path in paths)


def _of_dataset(spec: str) -> str:
    """What is read from a copy kept here has no commit that could be asked for."""
    return f"commit:{newest_commit(spec) or 'unknown'}"
