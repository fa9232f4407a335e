"""verified.jsonl -> kept.jsonl, dropped.jsonl, funnel.json: every row that is not trained on has one reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..config import DistillConfig
from ..errors import DistillError, quoted
from ..host import Host
from ..rows import TraceRow, read_rows, write_rows
from ..run_folder import RunFolder
from ..sft.rows import RowEncoder
from .duplicates import in_company, near_texts, same_texts, trace_sketch
from .funnel import DroppedRow, Funnel
from .language import scripts_of
from .measured import evaluation_problems
from .selection import mixes, select
from .sift import Sift


def run_stage(config: DistillConfig, folder: RunFolder, host: Host) -> dict[str, Any]:
    """Writes the three files; the same rows give the same bytes. No row is cut, and what is kept is kept byte for
    byte. Raises DistillError, the files written, where no row is left.
    """
    scripts_of(config.filter.language)  # raises before the long part
    encoder = RowEncoder(Path(folder.read_json(folder.base_record)["path"]))
    sift = Sift(config.filter, encoder, evaluation_problems(config))
    for row in _rows(folder, 0.0, 0.7):
        sift.take(row)
    _drop_duplicates(sift, folder, config.filter.near_duplicate)
    sift.drop({each.at: each.tested for each in sift.left if each.tested})
    mix = mixes(config.filter, config.student.parameters)
    sift.drop(select(sift.left, config.filter, mix=mix))
    funnel = _write(folder, sift, config.filter.language)
    if not sift.left:
        raise DistillError(_none_left(funnel, folder))
    short = sum(each.length <= config.filter.short_tokens for each in sift.left) / len(sift.left)
    tokens = sum(each.length for each in sift.left)
    return {"in": funnel["total_in"], "kept": funnel["kept"], "tokens": tokens, "mix": mix, "short_share": short}


def _drop_duplicates(sift: Sift, folder: RunFolder, threshold: float) -> None:
    sift.drop(same_texts(sift.left))
    groups = in_company(sift.left)
    wanted = {each.at for group in groups for each in group}
    rows = enumerate(_rows(folder, 0.7, 0.9))
    sketches = {at: trace_sketch(row.reasoning or "", row.answer) for at, row in rows if at in wanted}
    sift.drop(near_texts(groups, sketches, threshold))


def _write(folder: RunFolder, sift: Sift, language: str) -> dict[str, Any]:
    """funnel.json goes first and comes last: without it the stage is not done."""
    folder.funnel.unlink(missing_ok=True)
    rows = enumerate(_rows(folder, 0.9, 1.0))
    write_rows(folder.kept, (msgspec.structs.replace(row, lang=language) for at, row in rows if at not in sift.drops))
    drops = ((sift.rows[at][0], sift.drops[at]) for at in sorted(sift.drops))
    write_rows(folder.dropped, (DroppedRow(id=key, reason=drop.reason, detail=drop.detail) for key, drop in drops))
    funnel = Funnel()
    for at, (_, source) in enumerate(sift.rows):
        funnel.add(source, sift.drops.get(at))
    counts = funnel.as_dict()
    folder.write_json(folder.funnel, counts)
    return counts


def _rows(folder: RunFolder, start: float, end: float) -> Iterator[TraceRow]:
    """The verified rows; reading them is the progress from `start` to `end`."""
    with folder.verified.open("rb") as lines:
        total = sum(1 for _ in lines)
    for count, row in enumerate(read_rows(folder.verified, TraceRow), 1):
        yield row
        if count % max(1, total // 20) == 0:
            folder.log("filter", count, share=start + (end - start) * count / total)


def _none_left(funnel: dict[str, Any], folder: RunFolder) -> str:
    most = max(funnel["stages"], key=lambda stage: stage["dropped"])
    found = ", ".join(f"{reason} {count}" for reason, count in most["reasons"].items())
    return (
        f"None of {funnel['total_in']} traces is left to train on; most went at the step {most['name']} ({found}). "
        f"Take other traces: r1chat distill generate --run-dir {quoted(folder.root)} --traces FILE.jsonl"
    )
