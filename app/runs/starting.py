"""Begins runs as the command line does, with what a person may choose of them on the page, one at a time.

Knows the command's options and nothing of what it does; the plan is what it prints before it asks.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec

from ...serve.errors import InvalidRequestError
from ..terminal import last_words
from .folders import Runs
from .processes import Processes, begun, command

Traces = Literal["stars", "generated"]
# As distill.students.STUDENTS, but for those that only a recipe makes; written out because their table would load what
# computes. A test compares the two.
STUDENTS = ("tiny", "qwen-0.5b", "qwen-1.5b", "qwen-7b", "llama-1b", "llama-8b")
# As distill.recipe.reading.bundled(), but for those that need a GPU, and the students that a recipe can make. Tests
# compare them.
RECIPES = ("r1-zero", "r1", "distill-vs-rl")
RECIPE_STUDENTS = ("tiny", "small", "demo")
STARS = "stars.jsonl"
GENERATED = ("--traces", "generated", "--max-problems", "6000")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAN_S = 180.0
_NOTHING_BEGUN = "Nothing was begun."


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person chooses of a run. With a `recipe` the traces are its own, and no student is its own, too."""

    student: str
    name: str
    traces: Traces
    recipe: str = ""


class Starter:
    """Begins, stops and resumes the runs of one server."""

    def __init__(self, runs: Runs, processes: Processes) -> None:
        self._runs = runs
        self._processes = processes
        self._lock = threading.Lock()
        self._planning = threading.Lock()
        self._planner: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def close(self) -> None:
        """The server ends, and nobody reads a plan any more. Runs go on."""
        self._is_closed = True
        if self._planner:
            self._planner.terminate()

    def plan(self, choice: Choice, stars: Iterable[bytes]) -> list[str]:
        """What the run would take, a line a thing, as the command tells it. Raises InvalidRequestError where it could
        not begin.
        """
        root = self._new_root(choice)
        # Each is a process that loads for seconds.
        with self._planning, TemporaryDirectory(prefix="r1chat-plan-") as aside:
            arguments = [*_options(choice, Path(aside), stars), "--run-dir", str(Path(aside) / choice.name)]
            said = self._said([*command(), "distill", *arguments])
        lines = said.replace(str(Path(aside) / choice.name), str(root)).replace(f"{aside}/", "").splitlines()
        if not any(line.startswith(_NOTHING_BEGUN) for line in lines):
            words = last_words(lines) or "The command said nothing."
            raise InvalidRequestError(words, "recipe" if choice.recipe else "student")
        return [line for line in lines if not line.startswith(_NOTHING_BEGUN)]

    def _said(self, arguments: list[str]) -> str:
        nothing = subprocess.DEVNULL
        with subprocess.Popen(arguments, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE) as self._planner:
            if self._is_closed:  # close() may not have seen this one
                self._planner.terminate()
            try:
                _, said = self._planner.communicate(timeout=_PLAN_S)
            except subprocess.TimeoutExpired:
                self._planner.kill()
                return f"The plan took longer than {_PLAN_S:.0f} s. Try again when the machine is less busy."
        return said.decode("utf-8", "replace")

    def start(self, owner: str, choice: Choice, stars: Iterable[bytes]) -> str:
        """Begins a run; its id. Raises InvalidRequestError."""
        with self._lock:
            root = self._new_root(choice)
            self._check_idle()
            root.mkdir(parents=True)
            try:
                options = _options(choice, root, stars)
                self._processes.begin(root, owner, choice.traces, [*options, "--yes"])
            except (InvalidRequestError, OSError):
                # Its name is free again.
                shutil.rmtree(root, ignore_errors=True)
                raise
        return root.name

    def go_on(self, owner: str, run_id: str) -> None:
        """Has a run that ended early go on where it stopped. Raises NotFoundError, InvalidRequestError."""
        with self._lock:
            root = self._runs.root(owner, run_id)
            self._check_idle()
            if not (root / "run.json").is_file():
                raise InvalidRequestError("This run ended before it began. Start it anew under another name.")
            self._processes.begin(root, owner, begun(root).traces, ["--yes"])

    def stop(self, owner: str, run_id: str) -> None:
        """As Ctrl-C would; what is done is kept. Raises NotFoundError, InvalidRequestError."""
        if not self._processes.stop(self._runs.root(owner, run_id)):
            raise InvalidRequestError("This run is not at work, or was not begun from this page.")

    def _new_root(self, choice: Choice) -> Path:
        if choice.recipe not in ("", *RECIPES):
            raise InvalidRequestError(f"There is no recipe {choice.recipe[:64]!r}.", "recipe")
        if choice.student not in (("", *RECIPE_STUDENTS) if choice.recipe else STUDENTS):
            raise InvalidRequestError(f"There is no student {choice.student[:64]!r}.", "student")
        if not NAME.fullmatch(choice.name):
            raise InvalidRequestError("A name is made of letters, digits, dots, dashes and underscores.", "name")
        root = self._runs.folder / choice.name
        if root.exists():
            raise InvalidRequestError(f"There is a run {choice.name} already. Choose another name.", "name")
        return root

    def _check_idle(self) -> None:
        """Two at once would take the machine from each other, and from the chat."""
        busy = next((root.name for root in self._runs.roots() if self._processes.works(root)), None)
        if busy is not None:
            raise InvalidRequestError(f"The run {busy} is at work. Stop it first, or wait for its end.")


def _options(choice: Choice, folder: Path, stars: Iterable[bytes]) -> list[str]:
    student = ["--student", choice.student] if choice.student else []
    if choice.recipe:
        return ["--recipe", choice.recipe, *student, "--name", choice.name]
    options = [*student, "--name", choice.name]
    if choice.traces == "stars":
        return [*options, "--traces", str(_written(folder / STARS, stars))]
    # tiny knows the problems that it was measured with by itself
    return options if choice.student == "tiny" else [*options, *GENERATED]


def _written(path: Path, rows: Iterable[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(rows)
    if path.stat().st_size == 0:
        path.unlink()
        raise InvalidRequestError("No turn of your distil set is accepted yet. Star some and review them.", "traces")
    return path
