"""Environments for others' suites: each its own venv, made once, kept outside the work tree."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where everything fetched and made is kept: $R1CHAT_OUTSIDE, or the user's cache."""
    folder = Path(os.environ.get("R1CHAT_OUTSIDE") or platformdirs.user_cache_path("r1chat") / "outside")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment(name: str, requirements: Sequence[str]) -> str:
    """The interpreter of a venv that holds `requirements`; another list makes another venv."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]
    folder = cache_folder() / f"venv-{name}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        _say(f"preparing the environment {name}: {', '.join(requirements)}")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", *requirements])
        (folder / "complete").touch()
    return str(python)


def llama_cpp_source() -> Path:
    """llama.cpp as it comes with the llama-cpp-python of this environment, tests and templates included."""
    release = version("llama-cpp-python")
    folder = cache_folder() / f"llama_cpp_python-{release}"
    if not folder.exists():
        _unpack(_fetch(release), cache_folder())
    return folder / "vendor" / "llama.cpp"


def _fetch(release: str) -> Path:
    archive = cache_folder() / f"llama_cpp_python-{release}.tar.gz"
    if not archive.exists():
        _say(f"fetching {archive.name}")
        options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(archive.parent)]
        subprocess.check_call([sys.executable, "-m", "pip", "download", *options, f"llama-cpp-python=={release}"])
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    """Beside its place first: a folder there is whole."""
    aside = folder / f".{archive.name}.unpacked"
    with tarfile.open(archive) as tar:
        tar.extractall(aside, filter="data")
    (whole,) = aside.iterdir()
    whole.rename(folder / whole.name)
    aside.rmdir()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
