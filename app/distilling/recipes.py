"""r1chat distill --recipe: which recipe, for whom, and what came of it. Asks r1chat.distill for the steps."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Status, UsageError
from ..folders import RUNS, data_folder
from ..terminal import printable
from .agreement import agreed
from .run_folders import alone, store_options, stored_options

if TYPE_CHECKING:
    from ...distill.recipe.recipe import Recipe
    from ...distill.recipe.steps import Choices

# All else that decides a recipe's outcome stands in its file.
OPTIONS = {"recipe", "student", "seed", "name"}


def is_recipe(args: argparse.Namespace) -> bool:
    """Whether a recipe is asked for, or the folder is that of one."""
    if "recipe" in args:
        return True
    return bool(args.run_dir) and "recipe" in stored_options(Path(os.path.expanduser(args.run_dir)))


def run_recipe(args: argparse.Namespace, given: dict[str, Any]) -> int:
    """Does the steps that are not done yet; the table goes to stdout, progress to stderr. `given` are the options of
    the command. Raises UsageError, DistillError.
    """
    from ...distill.errors import DistillError
    from ...distill.recipe.plan import check_plan, plan_lines
    from ...distill.recipe.reading import find_recipe
    from ...serve.models.students import check_is_free

    _check(args, given)
    try:
        options = {**_stored(args), **_placed(given)}
        recipe = find_recipe(options["recipe"])
        choices, root = _choices(recipe, options), _root(args, recipe, options)
        if args.stage != "report":  # which reads what was made, wherever its sources are by now
            check_plan(recipe, choices)
    except DistillError as error:  # asked for what cannot be
        raise UsageError(str(error)) from error
    before = _before(root)
    same = bool(before) and _chosen(recipe, before) == _chosen(recipe, options)
    if args.stage == "report":
        _check_report(root, before, same)
        return _report(recipe, choices, root, args)
    # Now, and not after hours of training.
    check_is_free(choices.name, str(root.resolve()))
    lost = [f"replaces  {_words(before)}, which is there"] if before else []
    if not (args.yes or same or agreed([*plan_lines(recipe, choices, str(root)), *lost])):
        return Status.DONE if sys.stdin.isatty() else Status.WRONG_USAGE
    result = _do(recipe, choices, root, options)
    _show(result, root, args)
    return 0


def _check(args: argparse.Namespace, given: dict[str, Any]) -> None:
    again = f"r1chat distill --run-dir {shlex.quote(str(args.run_dir or 'DIR'))}"
    if more := sorted(set(given) - OPTIONS):
        option = f"--{more[0].replace('_', '-')}"
        raise UsageError(f"{option} is no option of a recipe: its file has it. Use: r1chat distill --recipe FILE.yaml")
    if args.stages or args.stage not in (None, "report"):
        raise UsageError(f"A recipe goes on where it stopped, with the stages that its steps need. Use: {again}")


def _before(root: Path) -> dict[str, Any]:
    """The options of the run that is there; {} where there is none. Raises UsageError for one of no recipe."""
    stored = stored_options(root)
    if "recipe" not in stored and os.path.isfile(root / "run.json"):
        raise UsageError(
            f"{root} has a run that follows no recipe. Choose another folder: "
            f"r1chat distill --recipe NAME --run-dir {shlex.quote(f'{root}-2')}"
        )
    return stored


def _chosen(recipe: Recipe, options: dict[str, Any]) -> tuple[str, str, int]:
    """What tells two runs of one folder apart."""
    choices = _choices(recipe, options)
    return options["recipe"], choices.student, choices.seed


def _words(before: dict[str, Any]) -> str:
    student = f" for {before['student']}" if "student" in before else ""
    return f"{before['recipe']}{student} with seed {before.get('seed', 0)}"


def _check_report(root: Path, before: dict[str, Any], same: bool) -> None:
    """A report speaks of the run that is there. Raises UsageError."""
    folder = shlex.quote(str(root))
    if not before:
        raise UsageError(f"{root} holds no run yet. Begin one: r1chat distill --recipe NAME --run-dir {folder}")
    if not same:
        raise UsageError(f"{root} is a run of {_words(before)}. Use: r1chat distill report --run-dir {folder}")


def _stored(args: argparse.Namespace) -> dict[str, Any]:
    return stored_options(Path(os.path.expanduser(args.run_dir))) if args.run_dir else {}


def _placed(given: dict[str, Any]) -> dict[str, Any]:
    """With whole paths, so that they mean the same from another folder."""
    whole = dict(given)
    for name in ("recipe", "student"):
        path = os.path.expanduser(str(given.get(name, "")))
        if (os.sep in path or path.endswith((".yaml", ".yml"))) and os.path.exists(path):
            whole[name] = os.path.abspath(path)
    return whole


def _choices(recipe: Recipe, options: dict[str, Any]) -> Choices:
    from ...distill.recipe.steps import Choices

    student, seed = options.get("student", recipe.student), int(options.get("seed", 0))
    return Choices(options.get("name") or _usual_name(recipe, student, seed), student, seed)


def _usual_name(recipe: Recipe, student: str, seed: int) -> str:
    """Runs of other students and seeds lie beside one another."""
    of_seed = f"-seed-{seed}" if seed else ""
    return f"{recipe.name}-{student.rstrip('/').rpartition('/')[2]}{of_seed}"


def _root(args: argparse.Namespace, recipe: Recipe, options: dict[str, Any]) -> Path:
    if args.run_dir:
        return Path(os.path.expanduser(args.run_dir))
    return data_folder(args) / RUNS / _choices(recipe, options).name


def _do(recipe: Recipe, choices: Choices, root: Path, options: dict[str, Any]) -> dict[str, Any]:
    from ...distill.recipe.runner import run_recipe as run_steps
    from ...distill.run_folder import RunFolder
    from .bars import Bars, Lines
    from .host import make_host

    try:
        with alone(root), Bars(of_recipe=True) if sys.stderr.isatty() else Lines(of_recipe=True) as display:
            folder = RunFolder(root, display.show)
            store_options(folder, options)
            return run_steps(recipe, choices, folder, make_host(os.environ.get("R1CHAT_TEACHER_KEY")))
    except KeyboardInterrupt:
        again = f"r1chat distill --run-dir {shlex.quote(str(root))}"
        print(printable(f"Stopped; what is done is kept. Go on with: {again}"), file=sys.stderr)
        raise


def _report(recipe: Recipe, choices: Choices, root: Path, args: argparse.Namespace) -> int:
    """Of the steps that are done by now."""
    from ...distill.recipe.runner import report
    from ...distill.run_folder import RunFolder

    with alone(root):
        result = report(recipe, choices, RunFolder(root))
    _show(result, root, args)
    return 0


def _show(result: dict[str, Any], root: Path, args: argparse.Namespace) -> None:
    from ...distill.recipe.table import recipe_table

    if args.json:
        print(json.dumps({"run_dir": str(root), **result}))
        return
    print(recipe_table(result))
    if (root / "report" / "index.html").is_file():
        print(f"Report: {root / 'report' / 'index.html'}")
    if args.stage is None:
        print(f'Try it: r1chat run {result["name"]} "What is 15% of 240?"')
