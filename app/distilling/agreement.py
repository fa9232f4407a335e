"""Whether a run whose plan is shown is to begin."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable

from ..terminal import printable


def agreed(plan: Iterable[str]) -> bool:
    """Shows the plan and asks; where nobody can be asked, says how to begin."""
    for line in plan:
        print(printable(line), file=sys.stderr)
    if not sys.stdin.isatty():
        again = shlex.join(["r1chat", *sys.argv[1:], "--yes"])
        print(printable(f"Nothing was begun. To begin: {again}"), file=sys.stderr)
        return False
    print("Begin? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
