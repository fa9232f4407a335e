"""argparse as r1chat's commands want it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from .terminal import printable


class ShowVersion(argparse.Action):
    """Only who asks for the version waits for the installation's books, which take a quarter of a start."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show program's version number and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"{parser.prog} {version('r1chat')}")
        parser.exit()


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line that ends with the command that helps.

    With `mixed` set, options may stand between the arguments, which argparse denies to optional ones.
    """

    mixed = False

    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"{self.prog}: {message}. See: {self.prog} --help\n"))

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        if not self.mixed:
            return super().parse_known_args(args, namespace)
        # The intermixed parse calls this method for each of its two passes.
        self.mixed = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixed = True
