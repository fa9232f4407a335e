"""Takes over traces that are ready, from their sources into the run's own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from ..config import DistillConfig
from ..lengths import n_tokens
from ..rows import ProblemRow, TraceRow, content_id
from ..sources.traces import is_written, load_traces
from .store import TraceStore


def take_over(
    config: DistillConfig, problems: Sequence[ProblemRow], store: TraceStore, report: Callable[[int, int], None]
) -> list[str]:
    """The ids of the ready traces in the order of their sources, all of them then in the store. Rows end before the
    one that would pass the cap on tokens. `report` is told rows and tokens so far. Raises DistillError.
    """
    golds = {_key(problem.prompt): problem for problem in problems}
    cap = config.generate.max_trace_tokens
    taken: dict[str, None] = {}
    tokens = 0
    for ready in _rows(config):
        # what it took its teacher was spent elsewhere
        row = msgspec.structs.replace(_named_by_content(_with_gold(ready, golds)), seconds=None)
        tokens += n_tokens(row)
        if cap is not None and tokens > cap:
            break
        if row.id not in taken and row.id not in store:
            store.add(row)
        taken[row.id] = None
        report(len(taken), tokens)
    return list(taken)


def _rows(config: DistillConfig) -> Iterator[TraceRow]:
    for spec in config.generate.traces:
        limit = config.generate.max_problems if is_written(spec) else None
        yield from load_traces(spec, limit=limit, seed=config.problems_seed)


def _with_gold(row: TraceRow, golds: dict[str, ProblemRow]) -> TraceRow:
    """A trace that nobody could judge is judged by the gold that the same prompt has among the problems."""
    known = golds.get(_key(row.problem.prompt)) if row.problem.gold is None else None
    return row if known is None else msgspec.structs.replace(row, problem=known)


def _named_by_content(row: TraceRow) -> TraceRow:
    """A file that was edited since, given its golds, or has another's name, gives other rows under the same ids."""
    return msgspec.structs.replace(row, id=content_id(row.id, msgspec.json.encode(row).decode()))


def _key(prompt: str) -> str:
    return " ".join(prompt.split())
