"""Rows pass from stage to stage through files: what a crash leaves must be read, and nothing else forgiven."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.distill.errors import DistillError
from r1chat.distill.rows import ProblemRow, RowAppender, Teacher, TraceRow, content_id, read_rows, write_rows


def problem(n: int, prompt: str = "What?") -> ProblemRow:
    return ProblemRow(id=f"p{n}", prompt=prompt, gold=str(n), source="here")


@given(st.text(), st.text())
def test_a_thought_comes_back_as_it_was_whatever_it_holds(reasoning: str, answer: str) -> None:
    row = TraceRow(
        id="a", problem=problem(1), teacher=Teacher(name="t"), sample=0, reasoning=reasoning, answer=answer,
        finish_reason="stop", created=1.0,
    )  # fmt: skip
    line = msgspec.json.encode(row)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=TraceRow) == row


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_rows_before_a_line_that_was_cut_off_are_kept_and_the_next_one_follows_them(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [problem(1), problem(2)])
    path.write_bytes(path.read_bytes()[:-cut])
    assert [row.id for row in read_rows(path, ProblemRow)] == ["p1"]
    with RowAppender(path) as rows:
        rows.append(problem(3))
    assert [row.id for row in read_rows(path, ProblemRow)] == ["p1", "p3"]


def test_a_long_line_that_was_cut_off_is_removed_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [problem(1)])
    with path.open("ab") as file:
        file.write(b'{"id": "' + b"x" * 200_000)
    with RowAppender(path) as rows:
        rows.append(problem(2))
    assert [row.id for row in read_rows(path, ProblemRow)] == ["p1", "p2"]


@pytest.mark.parametrize("damage", [b"nonsense", b'{"id":"\xff"}', b'{"id":"a","check":' + b"[" * 100_000, b"[1]"])
def test_damage_inside_a_file_names_the_line_and_what_mends_it(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id":"a","prompt":"b","gold":null,"source":"s"}\n' + damage + b"\n")
    with pytest.raises(DistillError, match=r"rows\.jsonl, line 2: .*: rm .*rows\.jsonl$"):
        list(read_rows(path, ProblemRow))


@pytest.mark.parametrize("name", ["traces.jsonl", "traces-aside.jsonl", "samples.jsonl", "rollouts.jsonl"])
def test_of_what_models_answered_only_the_damaged_line_is_to_go(tmp_path: Path, name: str) -> None:
    path = tmp_path / "my runs" / name
    path.parent.mkdir()
    write_rows(path, [problem(1), problem(2)])
    path.write_bytes(path.read_bytes().replace(b'"p2"', b"p2"))
    with pytest.raises(DistillError, match=": sed -i") as told:
        list(read_rows(path, ProblemRow))
    assert shlex.split(str(told.value).rpartition(": ")[2]) == ["sed", "-i.bak", "2d", str(path)]


def test_a_file_that_cannot_be_flushed_any_more_hides_no_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk is full"), RowAppender(tmp_path / "rows.jsonl") as rows:
        rows.append(problem(1))
        rows.__exit__(None, None, None)  # as where the file is written anew meanwhile
        raise OSError("disk is full")


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [problem(1)])

    def broken() -> Iterator[ProblemRow]:
        yield problem(2)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_rows(path, broken())
    assert [row.id for row in read_rows(path, ProblemRow)] == ["p1"]
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_ids_differ_where_the_parts_are_cut_otherwise() -> None:
    assert content_id("ab", "c") != content_id("a", "bc")
    assert content_id("a", "b") == content_id("a", "b")
