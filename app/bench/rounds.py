"""Runs scenarios on servers by turns and keeps every result at once, so that what is interrupted is not lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from ..errors import UsageError
from ..terminal import printable
from . import decode, fairness, soak, speculation, turns
from .load import Target
from .own_server import OwnServer
from .scenario import Scenario, Trial, Values

SCENARIOS: tuple[Scenario, ...] = (
    *decode.SCENARIOS,
    *fairness.SCENARIOS,
    *turns.SCENARIOS,
    *speculation.SCENARIOS,
    *soak.SCENARIOS,
)
# Between two servers: threads of the one that has just worked still spin for a moment.
_PAUSE_S = 0.3
_LONGEST_S = 1800.0


@dataclass(frozen=True)
class Outcome:
    """What one trial brought: values, or the error that it ended with."""

    scenario: str
    target: str
    round: int
    seconds: float
    values: Values = field(default_factory=dict)
    error: str = ""


def chosen(names: list[str]) -> list[Scenario]:
    """The scenarios called that way, or whose first word is that; without names all but the longest.

    Raises UsageError.
    """
    known = [scenario.name for scenario in SCENARIOS]
    for name in names:
        if not any(_is_called(scenario, name) for scenario in known):
            raise UsageError(f"There is no scenario {name!r}; there are: {', '.join(known)}")
    if not names:
        return [scenario for scenario in SCENARIOS if not scenario.on_request]
    return [scenario for scenario in SCENARIOS if any(_is_called(scenario.name, name) for name in names)]


def _is_called(scenario: str, name: str) -> bool:
    return name in (scenario, scenario.partition("-")[0])


async def run_rounds(
    scenarios: list[Scenario],
    own: OwnServer,
    peers: list[Target],
    *,
    model: Path,
    seed: int,
    rounds: int,
    outcomes: list[Outcome],
) -> None:
    """Appends to `outcomes` as it goes. What fails is noted there, and the rest goes on."""
    for index, scenario in _order(scenarios, rounds):
        targets = [own.target] + [peer for peer in peers if _takes_part(peer, scenario)]
        # The first finds the machine as the scenario before left it: take turns at that.
        for target in targets if index % 2 == 0 else reversed(targets):
            await own.settle()
            await asyncio.sleep(_PAUSE_S)
            outcome = await _outcome(scenario, Trial(target, model, seed, index))
            outcomes.append(outcome)
            _say(outcome, rounds)


def _order(scenarios: list[Scenario], rounds: int) -> Iterator[tuple[int, Scenario]]:
    """Round by round; then those that leave a server slower; last those of a single round."""
    repeated = [scenario for scenario in scenarios if not scenario.once]
    for disturbs in (False, True):
        for index in range(rounds):
            yield from ((index, scenario) for scenario in repeated if scenario.disturbs is disturbs)
    yield from ((0, scenario) for scenario in scenarios if scenario.once)


def _takes_part(peer: Target, scenario: Scenario) -> bool:
    if scenario.own_only:
        return False
    return not peer.only or any(_is_called(scenario.name, name) for name in peer.only)


async def _outcome(scenario: Scenario, trial: Trial) -> Outcome:
    began = perf_counter()
    values: Values = {}
    error = ""
    try:
        async with asyncio.timeout(_LONGEST_S):
            values = await scenario.measure(trial)
    except* Exception as group:  # whatever it is, the other scenarios are worth having
        error = _first_words(group)
    return Outcome(scenario.name, trial.target.name, trial.round, perf_counter() - began, values, error)


def _first_words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _say(outcome: Outcome, rounds: int) -> None:
    shown = outcome.error or "  ".join(f"{name} {value:.4g}" for name, value in outcome.values.items())
    line = f"round {outcome.round + 1}/{rounds}  {outcome.scenario:<12} {outcome.target:<12} {shown}"
    print(printable(line), file=sys.stderr, flush=True)
