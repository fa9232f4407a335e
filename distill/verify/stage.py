"""The stage that says of every trace whether its answer is right: traces.jsonl to verified.jsonl."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..config import DistillConfig
from ..host import Host
from ..rows import TraceRow, Verifier, content_id, read_rows, write_rows
from ..run_folder import RunFolder
from .config import VerifyConfig
from .consensus import Consensus, consensus
from .judge import Judge
from .ruling import Ruling, right, unknown, wrong

Progress = Callable[[int], None]
_TELL_EVERY_S = 0.5


@dataclass(frozen=True)
class _Found:
    """What was found of all traces, in their order; the traces themselves stay in their file."""

    rulings: list[Ruling]
    agreed: list[Consensus | None]
    pass_rates: list[float | None]


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Judges every trace anew and writes verified.jsonl, whole or not at all: the same traces give the same bytes."""
    n_rows = sum(1 for _ in read_rows(folder.traces, TraceRow))
    with Judge(config.verify) as judge:
        found = _find(judge, config.verify, folder.traces, _teller(folder, n_rows))
    write_rows(folder.verified, _filled_in(read_rows(folder.traces, TraceRow), found))
    verdicts: Counter[str] = Counter(ruling.verdict for ruling in found.rulings)
    reasons = Counter(f"{ruling.verdict}: {ruling.reason}" for ruling in found.rulings)
    counts = {verdict: float(verdicts[verdict]) for verdict in ("right", "wrong", "unknown")}
    folder.log("verify", n_rows, sample=None, share=1.0, **counts)
    return {"rows": n_rows, **verdicts, "reasons": dict(reasons.most_common(20))}


def _find(judge: Judge, config: VerifyConfig, traces: Path, tell: Progress) -> _Found:
    rulings: list[Ruling] = []
    # by id and prompt: of two files of traces that both count from 1, ids alone would put strangers to one vote
    samples: dict[str, list[int]] = {}
    verifiers: dict[str, Verifier] = {}
    with closing(_judged(judge, traces)) as judged:  # at once, too, where Ctrl-C ends it
        for row, ruling in judged:
            problem = content_id(row.problem.id, row.problem.prompt)
            samples.setdefault(problem, []).append(len(rulings))
            verifiers[problem] = row.problem.verifier
            rulings.append(ruling)
            tell(len(rulings))
    agreed: list[Consensus | None] = [None] * len(rulings)
    pass_rates: list[float | None] = [None] * len(rulings)
    for problem, rows in samples.items():
        mine = consensus(judge, verifiers[problem], [rulings[i].extracted for i in rows]) if len(rows) > 1 else None
        if mine is not None:
            for place, i in enumerate(rows):
                rulings[i] = _by_consensus(rulings[i], mine, place, len(rows), config)
                agreed[i] = mine
        rate = _pass_rate([rulings[i] for i in rows])
        for i in rows:
            pass_rates[i] = rate
    return _Found(rulings, agreed, pass_rates)


def _judged(judge: Judge, traces: Path) -> Generator[tuple[TraceRow, Ruling]]:
    """Each trace with its verdict: that of the judge where it came to its own end."""
    waiting: deque[TraceRow] = deque()

    def to_judge() -> Iterator[tuple[Any, str]]:
        for row in read_rows(traces, TraceRow):
            waiting.append(row)
            # what was cut off is asked nothing: an empty answer is judged in no time
            yield row.problem, "" if row.finish_reason == "length" else row.answer

    with closing(judge.verdicts(to_judge())) as rulings:
        for ruling in rulings:
            row = waiting.popleft()
            yield row, wrong("cut off") if row.finish_reason == "length" else ruling


def _by_consensus(ruling: Ruling, agreed: Consensus, place: int, k: int, config: VerifyConfig) -> Ruling:
    """Where only a gold was lacking, a clear majority stands for it."""
    if ruling.verdict != "unknown" or ruling.reason != "no gold" or ruling.extracted is None:
        return ruling
    if k < config.consensus_samples or agreed.share < config.consensus_share or agreed.tied:
        return unknown("no gold, and no consensus", ruling.extracted)
    if place in agreed.members:
        return right("agrees with the consensus", ruling.extracted)
    return wrong("against the consensus", ruling.extracted)


def _pass_rate(rulings: list[Ruling]) -> float | None:
    """Right ones of those that are right or wrong; None where it is not known of any."""
    known = [ruling.verdict == "right" for ruling in rulings if ruling.verdict != "unknown"]
    return sum(known) / len(known) if known else None


def _filled_in(rows: Iterator[TraceRow], found: _Found) -> Iterator[TraceRow]:
    for row, ruling, agreed, rate in zip(rows, found.rulings, found.agreed, found.pass_rates, strict=True):
        yield msgspec.structs.replace(
            row,
            verdict=ruling.verdict,
            verdict_reason=ruling.reason,
            consensus=agreed.answer if agreed else None,
            consensus_share=agreed.share if agreed else None,
            pass_rate=rate,
        )


def _teller(folder: RunFolder, n_rows: int) -> Progress:
    told = 0.0

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_EVERY_S:
            told = time.monotonic()
            folder.log("verify", done, share=done / max(1, n_rows))

    return tell
