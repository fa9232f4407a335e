"""Runs suites that others wrote, in place, against running r1chat servers, and prints what they came to.

    python -m tests.outside [--only NAME]

Environments, sources and models are made once and kept outside the work tree; the first run fetches them.
Exit status 1 where a test failed.
"""

from __future__ import annotations

import argparse
import sys

from .running import Outcome
from .suites import SUITES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=SUITES, metavar="NAME", help=f"of: {', '.join(SUITES)}")
    chosen = parser.parse_args().only or list(SUITES)
    outcomes = {title: outcome for name in chosen for title, outcome in SUITES[name]().items()}
    _print(outcomes)
    return int(any(outcome.failed for outcome in outcomes.values()))


def _print(outcomes: dict[str, Outcome]) -> None:
    print("| suite | passes | test functions | skips |\n|---|---|---|---|")
    for title, outcome in outcomes.items():
        reasons = "; ".join(f"{count}: {reason}" for reason, count in outcome.skipped.most_common())
        functions = f"{outcome.n_functions_passed} of {len(outcome.states)}"
        skips = f"{outcome.skipped.total()} ({reasons})" if reasons else "0"
        print(f"| {title} | {outcome.n_passed} of {outcome.n_all} | {functions} | {skips} |")
    for title, outcome in outcomes.items():
        for name, line in outcome.failed:
            print(f"FAILED {title}: {name}: {line}")


if __name__ == "__main__":
    sys.exit(main())
