"""What is installed: the package list against the folders, and a wheel that runs on its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("app", "serve", "distill")


def setuptools_table() -> dict[str, object]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert isinstance(table, dict)
    return table


def test_the_package_list_is_the_folders() -> None:
    """A sub-package that is missing there works in a checkout and is absent from the wheel."""
    folders = {
        f"r1chat.{init.parent.relative_to(ROOT).as_posix().replace('/', '.')}": init.parent.relative_to(ROOT).as_posix()
        for top in FOLDERS
        for init in (ROOT / top).rglob("__init__.py")
    }
    table = setuptools_table()
    assert table["package-dir"] == folders
    packages = table["packages"]
    assert isinstance(packages, list)
    assert sorted(packages) == sorted(folders)


def test_every_python_file_lies_in_a_package() -> None:
    stray = [
        path for top in FOLDERS for path in (ROOT / top).rglob("*.py") if not (path.parent / "__init__.py").exists()
    ]
    assert stray == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves a build folder behind, whose old files would get into the next wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for top in FOLDERS:
        shutil.copytree(ROOT / top, source / top, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_every_source_file_and_the_data(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("r1chat/")}
    sources = {f"r1chat/{path.relative_to(ROOT).as_posix()}" for top in FOLDERS for path in (ROOT / top).rglob("*.py")}
    assert {name for name in inside if name.endswith(".py")} == sources
    data = ("app/ui/assets", "distill/recipe", "distill/report", "serve/models/bundled", "serve/models/templates")
    paths = [path for folder in data for path in (ROOT / folder).rglob("*") if path.is_file()]
    files = {f"r1chat/{path.relative_to(ROOT).as_posix()}" for path in paths}
    expected = {name for name in files if not name.endswith((".py", ".pyc"))}
    assert "r1chat/serve/models/bundled/r1chat-demo.gguf" in expected
    assert {name for name in inside if not name.endswith(".py")} == expected


def test_the_wheel_has_the_licence(wheel: Path) -> None:
    assert [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/LICENSE")]


def test_the_installed_wheel_runs_beside_a_folder_called_app(wheel: Path, tmp_path: Path) -> None:
    """`app` and `serve` are common names: neither the cwd's nor the checkout's may be taken for ours."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    for top in FOLDERS:
        (tmp_path / top).mkdir()
        (tmp_path / top / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    script = (
        "import r1chat.app.cli as cli, r1chat.serve.models.catalog as catalog; print(cli.__file__, catalog.BUNDLED);"
        "print(catalog.BUNDLED.exists())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    files, exists = done.stdout.splitlines()
    assert [Path(name).is_relative_to(tmp_path / "site") for name in files.split()] == [True, True]
    assert exists == "True"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("r1chat.serve.client", {"llama_cpp", "numpy", "fastapi", "gradio", "torch"}),
        ("r1chat.serve.api.server", {"llama_cpp", "gradio", "torch", "huggingface_hub"}),
        ("r1chat.serve.engine.process", {"llama_cpp", "fastapi", "gradio", "torch"}),
        ("r1chat.app.server", {"llama_cpp", "gradio", "torch", "huggingface_hub"}),
        ("r1chat.distill.stream.training", {"llama_cpp", "fastapi", "gradio", "torch", "transformers"}),
    ],
)
def test_heavy_libraries_load_only_where_they_work(module: str, absent: set[str]) -> None:
    script = "import sys, importlib; importlib.import_module(sys.argv[1]); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script, module], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & absent == set()
