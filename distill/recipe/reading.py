"""Reads a recipe from YAML. Whatever is wrong in it is told in one line, with the place where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ..errors import DistillError
from ..students import find_student
from .recipe import SECTIONS, Kind, Recipe, RecipeError, Step
from .schema import CONFIGS, allowed_at, file_type, settings_of

KINDS: tuple[Kind, ...] = ("stream", "sft", "grpo")
_ENDINGS = (".yaml", ".yml")
Place = list[str | int]


def bundled() -> list[str]:
    """Names of the recipes that come with r1chat."""
    names = (path.name for path in files(__package__).iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def find_recipe(source: str) -> Recipe:
    """The recipe of that name, or in that file. Raises RecipeError."""
    if source in bundled():
        return read_recipe(files(__package__).joinpath(f"{source}.yaml").read_text(encoding="utf-8"), source)
    path = Path(source).expanduser()
    if not source.endswith(_ENDINGS):
        near = get_close_matches(source, bundled(), 1, cutoff=0)[0]
        raise RecipeError(
            f"There is no recipe {source!r:.80}, but {', '.join(bundled())}, and files that end in .yaml. "
            f"Use: r1chat distill --recipe {near}"
        )
    try:
        return read_recipe(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError as error:
        raise RecipeError(f"There is no file {source}. Name one that is: r1chat distill --recipe FILE.yaml") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{source} cannot be read ({error}). Then: r1chat distill --recipe {source}") from error


def read_recipe(text: str, source: str) -> Recipe:
    """`source` is what the text came from, for errors. Raises RecipeError."""
    return _Reader(text, source).recipe()


class _Reader:
    """One file: its content, and where in it each thing stands."""

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._root: Any = None
        self._names: set[str] = set()

    def recipe(self) -> Recipe:
        given = self._given()
        shared: dict[str, Any] = {name: given[name] for name in ("verify", "evaluate") if name in given}
        steps: list[Step] = []
        self._names = {entry["name"] for entry in given["steps"]}
        for at, entry in enumerate(given["steps"]):
            steps += self._rounds(at, entry, self._step(at, entry, shared, steps))
        try:
            find_student(given["student"])
        except DistillError as error:
            self._fail(["student"], str(error).partition(" Use: ")[0].rstrip("."))
        return Recipe(self._source, given["name"], given["about"], given["takes"], given["student"], tuple(steps))

    def _given(self) -> dict[str, Any]:
        """The file's content, with the defaults of what is not a setting."""
        content = self._content()
        try:
            found: dict[str, Any] = msgspec.to_builtins(msgspec.convert(content, file_type()))
        except msgspec.ValidationError as error:
            self._refuse(str(error))
        return found

    def _content(self) -> Any:
        try:
            import yaml  # type: ignore[import-untyped]
        except ImportError as error:
            raise RecipeError(
                'Recipes need PyYAML, which is not here. Install it: pip install "r1chat[distill]"'
            ) from error

        class Loader(yaml.SafeLoader):
            """With 1e-6 as a number, which YAML 1.1 takes for a word."""

        Loader.add_implicit_resolver(
            "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
        )
        try:
            self._root = yaml.compose(self._text, Loader)
            for place in _twice(self._root, []):
                self._fail(place, f"{place[-1]!r} stands there twice")
            return yaml.load(self._text, Loader)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise self._error(line, f"this is no YAML: {error.problem}") from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise self._error("", f"this is no YAML: {reason:.100}") from error

    def _step(self, at: int, entry: dict[str, Any], shared: dict[str, Any], before: list[Step]) -> Step:
        kinds = [kind for kind in KINDS if kind in entry]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            self._fail(["steps", at], f"a step has one of {', '.join(KINDS)}, and {entry['name']} has {found}")
        kind = kinds[0]
        for section in CONFIGS:
            if section in entry and section not in SECTIONS[kind]:
                known = ", ".join(SECTIONS[kind])
                self._fail(["steps", at, section], f"a step of {kind} has no {section}; it has {known}")
        names = {step.name for step in before}
        if entry["name"] in names:
            self._fail(["steps", at, "name"], f"there is a step {entry['name']} already")
        settings = {
            section: {**shared.get(section, {}), **entry.get(section, {})}
            for section in SECTIONS[kind]
            if section in entry or section in shared
        }
        if "minutes" in settings.get("grpo", {}):
            settings["grpo"].setdefault("steps", None)  # what nobody wrote ends no training
        step = Step(
            name=entry["name"],
            kind=kind,
            begins=self._earlier(at, "from", entry.get("from"), names),
            budget=self._earlier(at, "budget", (entry["budget"] or "")[3:] or None, names),
            measured=entry["measure"],
            settings=settings,
        )
        self._earlier(at, "generate.teacher", step.teacher if step.teacher in self._names else None, names)
        self._check(at, step)
        return step

    def _earlier(self, at: int, field: str, name: str | None, names: set[str]) -> str | None:
        if name is not None and name not in names:
            known = f"the steps before are {', '.join(sorted(names))}" if names else "no step is before it"
            self._fail(["steps", at, *field.split(".")], f"there is no earlier step {name!r:.60}; {known}")
        return name

    def _check(self, at: int, step: Step) -> None:
        """What each setting alone cannot tell."""
        for section, given in step.settings.items():
            settings_of(section, dict(given))
        generate = step.settings.get("generate", {})
        asks = generate.get("teacher") and generate.get("problems")
        if step.kind == "sft" and not (generate.get("traces") or asks):
            text = "learns from nothing: generate wants traces, or a teacher and problems"
            self._fail(["steps", at], f"{step.name} {text}")
        grpo = step.settings.get("grpo", {})
        if step.budget is None and "steps" in grpo and grpo["steps"] is None and grpo.get("minutes") is None:
            self._fail(["steps", at, "grpo", "steps"], "without steps, minutes or a budget it would never end")
        if step.budget is not None and step.kind == "sft":
            self._fail(["steps", at, "budget"], "a step of sft ends with its epochs; stream and grpo have a budget")
        if step.budget is not None and {"minutes", "tokens", "steps"} & set(step.settings[step.kind]):
            self._fail(["steps", at, "budget"], f"either a budget, or minutes, tokens or steps in {step.kind}")

    def _rounds(self, at: int, entry: dict[str, Any], step: Step) -> Iterator[Step]:
        """Self-improvement: each round but the first has the one before as its teacher. The last bears the name."""
        rounds = entry["rounds"]
        if rounds > 1 and step.teacher is None:
            self._fail(["steps", at, "rounds"], "rounds need a teacher, which the student then is itself")
        teacher = step.teacher
        for number in range(1, rounds + 1):
            name = step.name if number == rounds else f"{step.name}-round-{number}"
            settings = dict(step.settings)
            if teacher is not None:
                settings["generate"] = {**settings["generate"], "teacher": teacher}
            yield replace(step, name=name, settings=settings)
            teacher = name

    def _refuse(self, error: str) -> NoReturn:
        """In the words of msgspec, with what would be allowed."""
        said, _, path = error.partition(" - at ")
        parts = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path)
        place: Place = [word or (0 if number == "..." else int(number)) for word, number in parts]
        unknown = re.search(r"unknown field `(.*)`", said)
        if unknown:
            said = f"there is no field {unknown[1]!r:.60} here, but {', '.join(allowed_at(place))}"
            place = [*place, unknown[1]]
        elif said.startswith("Invalid enum value"):
            said = f"{said[19:]} is none of {', '.join(allowed_at(place))}"
        elif "matching regex" in said:
            said = "it is written `as STEP`" if place[-1] == "budget" else "small letters, digits, dots and dashes"
        self._fail(place, said)

    def _fail(self, place: Place, text: str) -> NoReturn:
        line = _line(self._root, place)
        where = f", line {line}" if line else ""
        named = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        raise self._error(where, f"{named}: {text}" if named else text)

    def _error(self, where: str, text: str) -> RecipeError:
        return RecipeError(f"{self._source}{where}: {text}. Mend it, then: r1chat distill --recipe {self._source}")


def _line(node: Any, place: Place) -> int | None:
    """Where in the file a thing stands, as far as it can be followed; from 1."""
    line = node.start_mark.line + 1 if node is not None else None
    for part in place:
        pairs = [] if node is None or isinstance(node.value, str) else node.value
        if isinstance(part, int):
            node = pairs[part] if part < len(pairs) else None
        else:
            found = [pair for pair in pairs if isinstance(pair, tuple) and pair[0].value == part]
            node = found[-1][1] if found else None  # as YAML takes them
            line = found[-1][0].start_mark.line + 1 if found else line
            continue
        line = node.start_mark.line + 1 if node is not None else line
    return line


def _twice(node: Any, place: Place) -> Iterator[Place]:
    """Keys that a mapping has twice, of which YAML would silently take the last."""
    if node is None or isinstance(node.value, str):
        return
    seen: set[Any] = set()
    for at, child in enumerate(node.value):
        key = child[0].value if isinstance(child, tuple) else at
        if not isinstance(key, str | int):
            continue
        if key in seen:
            yield [*place, key]
        seen.add(key)
        yield from _twice(child[1] if isinstance(child, tuple) else child, [*place, key])
