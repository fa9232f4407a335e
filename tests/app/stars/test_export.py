"""What is exported, distill reads as it is, and judges and keeps as the set did."""

from __future__ import annotations

import json
from pathlib import Path

from r1chat.app.distilling.host import licence_of
from r1chat.app.stars.export import exported
from r1chat.app.stars.star_set import StarSet
from r1chat.distill.filter.checks import check_finished, check_thought
from r1chat.distill.filter.repetition import check_repetition
from r1chat.distill.sources.traces import load_traces
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.judge import Judge
from r1chat.serve.models.r1_models import R1_MODELS

from .conftest import OWNER, THOUGHT, Say


def accepted(stars: StarSet, say: Say, question: str, answer: str, **word: object) -> str:
    star = stars.star(OWNER, say(question, answer, reply_id="r1").id)
    assert star is not None
    assert stars.change(OWNER, star.id, {}, **(word or {"checked": True})).state == "accepted"
    return star.id


def test_the_licence_of_a_teacher_is_found_by_every_name_that_it_has_here() -> None:
    for alias, known in R1_MODELS.items():
        names = [alias, f"{alias}:q8_0", f"{known.repo}:Q4_K_M"]
        assert [licence_of(name) for name in names] == [known.licence] * 3
    assert licence_of("demo") == "MIT" and licence_of("somebody/else") is None


def test_distill_reads_the_rows_and_finds_them_right(tmp_path: Path, stars: StarSet, say: Say) -> None:
    ids = [
        accepted(stars, say, "What is 15% of 240?", "It is \\boxed{36}."),
        accepted(stars, say, "Which day follows Sunday?", "The answer is Monday.", gold="Monday"),
        accepted(stars, say, "Say hello to Ann.", "Good morning, Ann!\nHow are you?"),
    ]
    stars.star(OWNER, say("What is 16% of 240?").id)  # waits
    file = tmp_path / "set.jsonl"
    file.write_bytes(b"".join(exported(stars.list(OWNER), "traces")))
    rows = list(load_traces(str(file)))
    assert [row.id for row in rows] == ids
    with Judge(VerifyConfig(workers=1)) as judge:
        assert [judge.verdict(row.problem, row.answer).verdict for row in rows] == ["right"] * 3
    for row in rows:
        assert check_finished(row) is check_thought(row) is check_repetition(row.reasoning or "") is None
        assert (row.reasoning, row.teacher.name, row.teacher.licence, row.params["reply_id"]) == (
            THOUGHT, "demo", "MIT", "r1",
        )  # fmt: skip
    assert [row.problem.check for row in rows] == [
        {"checked_by": "person"}, {"checked_by": "gold"}, {"checked_by": "person"},
    ]  # fmt: skip


def test_two_thoughts_on_one_question_are_samples_of_one_problem(stars: StarSet, say: Say) -> None:
    accepted(stars, say, "What is 15% of 240?", "It is \\boxed{36}.")
    accepted(stars, say, "What is 15% of 240?", "So 15% of it is \\boxed{36}.")
    rows = [json.loads(line) for line in exported(stars.list(OWNER), "traces")]
    assert len({row["problem"]["id"] for row in rows}) == 1
    assert [row["sample"] for row in rows] == [0, 1]


def test_sharegpt_has_the_thought_between_its_tags_and_distill_reads_that_too(
    tmp_path: Path, stars: StarSet, say: Say
) -> None:
    accepted(stars, say, "What is 15% of 240?", "It is \\boxed{36}.")
    file = tmp_path / "set.jsonl"
    file.write_bytes(b"".join(exported(stars.list(OWNER), "sharegpt")))
    (row,) = load_traces(str(file))
    assert (row.problem.prompt, row.answer.strip()) == ("What is 15% of 240?", "It is \\boxed{36}.")
    assert row.reasoning is not None
    assert row.reasoning.strip() == THOUGHT
