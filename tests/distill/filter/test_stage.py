"""From verified rows to those that are trained on: each with one reason or kept whole, the same bytes each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from chat_folders import chat_folder
from trace_rows import problem_row, trace_row

from r1chat.distill.config import DistillConfig
from r1chat.distill.errors import DistillError
from r1chat.distill.evaluate.config import EvaluateConfig
from r1chat.distill.filter.config import FilterConfig
from r1chat.distill.filter.funnel import STEPS, DroppedRow, funnel_table
from r1chat.distill.filter.measured import evaluation_problems
from r1chat.distill.filter.stage import run_stage
from r1chat.distill.host import Host
from r1chat.distill.problems.held_out import held_out
from r1chat.distill.rows import TraceRow, read_rows, write_rows
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.sft.config import SftConfig
from r1chat.distill.sft.rows import RowEncoder
from r1chat.distill.sources.problems import load_problems
from r1chat.distill.students import STUDENTS

LOOP = "Then I try to add the two numbers once more, but that is not what was asked, so I start again here. "
COUNTING = "".join(f"{n} and " for n in range(60))
HOST = Host(serve=lambda *_: None, register=lambda *_: None, say=lambda _: None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_folder(tmp_path_factory.mktemp("bases") / "r1", "r1", max_position_embeddings=1000)


class Room:
    """A run folder with a base and an evaluation set."""

    def __init__(self, root: Path, base: Path) -> None:
        self.folder = RunFolder(root / "run")
        self.folder.write_json(self.folder.base_record, {"path": str(base)})
        self.tests = root / "tests.jsonl"
        write_rows(self.tests, [problem_row("How many legs do 7 spiders have?", "56")])

    def run(self, rows: list[TraceRow], *, sft: SftConfig | None = None, **settings: Any) -> dict[str, Any]:
        write_rows(self.folder.verified, rows)
        config = DistillConfig(
            STUDENTS["tiny"], self.folder.root, "student",
            filter=FilterConfig(**settings), evaluate=EvaluateConfig(sets=(str(self.tests),)), sft=sft or SftConfig(),
        )  # fmt: skip
        return run_stage(config, self.folder, HOST)

    def kept(self) -> list[TraceRow]:
        return list(read_rows(self.folder.kept, TraceRow))

    def dropped(self) -> list[DroppedRow]:
        return list(read_rows(self.folder.dropped, DroppedRow))


@pytest.fixture
def room(tmp_path: Path, base: Path) -> Room:
    return Room(tmp_path, base)


ONE_OF_EACH = {
    "unfinished": trace_row(1, finish_reason="length"),
    "no_thought": trace_row(2, reasoning=None),
    "empty_thought": trace_row(3, reasoning=" "),
    "stray_tag": trace_row(4, answer="<think>"),
    "empty_answer": trace_row(5, answer=""),
    "wrong": trace_row(6, verdict="wrong"),
    "unverified": trace_row(7, verdict="unknown"),
    "language": trace_row(8, reasoning="因为所以不但而且如果那么"),
    "repeated_words": trace_row(9, reasoning=LOOP * 4),
    "repetitive_text": trace_row(10, reasoning="3" * 3000),
    "too_long": trace_row(11, reasoning=" ".join(map(str, range(400)))),
    "same_text": trace_row(12),
    "near_same_text": trace_row(13, reasoning=COUNTING + "And so on."),
    "same_as_test": trace_row(14, prompt="How many legs do 7 spiders have?"),
    "shared_8_gram": trace_row(15, prompt="Say: how many legs do 7 spiders have if 1 dies"),
    "enough_of_problem": trace_row(16, reasoning="This is a thought that goes on longer than that of the other one."),
}
COMPANIONS = [
    trace_row(12),
    trace_row(13, reasoning=COUNTING),
    trace_row(16, id="shorter", reasoning="This is short."),
]


def test_each_reason_takes_its_row_and_only_that(room: Room) -> None:
    write_rows(
        room.tests,
        [problem_row("How many legs do 7 spiders have?"), problem_row("how many legs do 7 spiders have if 2 die")],
    )
    room.run([*COMPANIONS, *ONE_OF_EACH.values()], per_problem=1)
    assert [row.reason for row in room.dropped()] == list(ONE_OF_EACH)
    assert [row.id for row in room.dropped()] == [row.id for row in ONE_OF_EACH.values()]
    assert [row.id for row in room.kept()] == [row.id for row in COMPANIONS]


def test_no_row_is_lost_or_doubled_and_the_table_adds_up(room: Room) -> None:
    rows = [*COMPANIONS, *ONE_OF_EACH.values(), *(trace_row(n) for n in range(100, 120))]
    summary = room.run(rows)
    assert Counter([row.id for row in room.kept()] + [row.id for row in room.dropped()]) == Counter(r.id for r in rows)
    funnel = room.folder.read_json(room.folder.funnel)
    assert [stage["name"] for stage in funnel["stages"]] == list(STEPS)
    assert funnel["total_in"] == len(rows) and funnel["kept"] == summary["kept"] == len(room.kept())
    left = len(rows)
    for stage in funnel["stages"]:
        assert stage["in"] == left and stage["out"] == left - stage["dropped"]
        assert sum(stage["reasons"].values()) == stage["dropped"]
        left = stage["out"]
    assert funnel["by_source"] == {"problems.jsonl": {"in": len(rows), "kept": len(room.kept())}}


def test_a_puzzle_that_is_held_out_is_not_taught_in_other_words(room: Room) -> None:
    check = next(problem.check for problem in held_out()["test"] if problem.family == "countdown")
    assert check is not None
    turned = {"numbers": check["numbers"][::-1], "target": check["target"]}
    prompt = f"Here are tiles {turned['numbers']}. Reach {check['target']}!"
    puzzle = msgspec.structs.replace(
        trace_row(1), problem=msgspec.structs.replace(problem_row(prompt), verifier="expression", check=turned)
    )
    room.run([puzzle, trace_row(2)])
    assert [row.reason for row in room.dropped()] == ["same_as_test"]
    assert [row.id for row in room.kept()] == [trace_row(2).id]


def test_of_a_set_without_end_all_that_is_asked_is_kept_out(tmp_path: Path) -> None:
    asked = EvaluateConfig(sets=("generated:sums",), n=1100)
    config = DistillConfig(STUDENTS["tiny"], tmp_path, "student", evaluate=asked)
    kept_out = evaluation_problems(config)
    measured = load_problems("generated:sums", limit=asked.n, seed=config.evaluation_seed)
    assert len(measured) == 1100
    assert all(kept_out.hit(problem.prompt) for problem in measured)


def test_what_a_curve_is_drawn_of_is_no_more_taught_than_what_is_measured(room: Room, tmp_path: Path) -> None:
    question = "How many wheels do 6 carts have?"
    write_rows(tmp_path / "curve.jsonl", [problem_row(question, "24")])
    room.run(
        [trace_row(1), trace_row(2, prompt=question)], sft=SftConfig(watch_set=str(tmp_path / "curve.jsonl"))
    )  # fmt: skip
    assert [(row.id, row.reason) for row in room.dropped()] == [(trace_row(2).id, "same_as_test")]


def test_the_first_failure_in_the_order_of_the_steps_is_the_reason(room: Room) -> None:
    everything = {"reasoning": LOOP * 40 + "因为" * 200, "verdict": "wrong", "finish_reason": "length", "answer": " "}
    mended = [("answer", "5"), ("verdict", "right"), ("reasoning", LOOP * 40), ("reasoning", "1 " * 70 + "2 3 " * 300)]
    rows = [trace_row(0, id="0", **everything)]
    everything["finish_reason"] = "stop"
    rows.append(trace_row(0, id="1", **everything))
    for number, (field, value) in enumerate(mended, 2):
        everything[field] = value
        rows.append(trace_row(0, id=str(number), **everything))
    room.run([*rows, trace_row(1)])
    expected = ["unfinished", "empty_answer", "wrong", "language", "repeated_words", "repeated_words"]
    assert [row.reason for row in room.dropped()] == expected


def test_the_same_rows_give_the_same_bytes(room: Room) -> None:
    def written() -> list[bytes]:
        return [path.read_bytes() for path in (room.folder.kept, room.folder.dropped, room.folder.funnel)]

    rows = [*COMPANIONS, *ONE_OF_EACH.values()]
    first, again = (room.run(rows, mix=True), written()), (room.run(rows, mix=True), written())
    assert first == again


def test_another_order_of_the_rows_keeps_the_same_ones(room: Room) -> None:
    rows = [*COMPANIONS, *ONE_OF_EACH.values()]
    room.run(rows)
    before = {row.id for row in room.kept()}
    room.run(rows[::-1])
    assert {row.id for row in room.kept()} == before


def test_what_is_kept_is_kept_byte_for_byte(room: Room) -> None:
    thought = "Okay, cafe\u0301 \u212b.\r\n\n\tWait: 2 + 2 = 4. 🐑\u2028  \n"
    row = trace_row(1, reasoning=thought, answer="\n It is \\boxed{4}. \n")
    room.run([row])
    assert room.kept() == [msgspec.structs.replace(row, lang="en")]


def test_a_row_of_just_the_longest_length_is_kept_whole_and_one_token_less_drops_it(room: Room, base: Path) -> None:
    row, other = trace_row(1, reasoning="One and two and three."), trace_row(2, reasoning="One.")
    length = RowEncoder(base).length(row.problem.prompt, row.reasoning or "", row.answer)
    room.run([row, other], max_tokens=length)
    assert len(room.kept()) == 2
    room.run([row, other], max_tokens=length - 1)
    assert [(drop.id, drop.reason, drop.detail) for drop in room.dropped()] == [
        (row.id, "too_long", f"{length} tokens")
    ]


def test_a_row_with_more_tokens_than_the_student_has_positions_is_dropped(room: Room) -> None:
    long = trace_row(1, reasoning=" ".join(map(str, range(400))))
    room.run([long, trace_row(2)], max_tokens=100_000)
    assert [drop.reason for drop in room.dropped()] == ["too_long"]


def test_where_nothing_is_left_the_files_are_written_and_the_error_says_what_took_most(room: Room) -> None:
    rows = [trace_row(1, verdict="wrong"), trace_row(2, verdict="wrong"), trace_row(3, finish_reason="length")]
    with pytest.raises(
        DistillError, match=r"None of 3 traces .* verdict \(wrong 2\)\. .*: r1chat distill generate .*$"
    ):
        room.run(rows)
    assert room.kept() == [] and len(room.dropped()) == 3


def test_an_unknown_language_is_refused_before_anything_is_written(room: Room) -> None:
    with pytest.raises(DistillError, match="--language"):
        room.run([trace_row(1)], language="tlh")
    assert not room.folder.kept.exists()


def test_progress_rises_to_the_end(room: Room) -> None:
    room.run([trace_row(n) for n in range(60)])
    shares = [event["value"] for event in room.folder.read_events("filter") if event["metric"] == "share"]
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_the_table_is_aligned_and_names_the_reasons(room: Room) -> None:
    room.run([*COMPANIONS, *ONE_OF_EACH.values()])
    lines = funnel_table(room.folder.read_json(room.folder.funnel)).splitlines()
    assert lines[0].split() == ["step", "in", "dropped", "left", "reasons"]
    assert lines[1].split() == ["finished", "19", "1", "18", "unfinished", "1"]
    assert lines[-1].split()[:2] == ["all", "19"]
    assert (
        len({line.index(line.split()[3], line.index(line.split()[2]) + 1) + len(line.split()[3]) for line in lines})
        == 1
    )
