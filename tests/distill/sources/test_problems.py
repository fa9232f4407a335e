"""Problems of files and generators: which column is the gold, and that nothing held out is trained on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from r1chat.distill.errors import DistillError
from r1chat.distill.problems import FAMILIES, RIDDLES, prompt_key
from r1chat.distill.problems.held_out import held_out, held_out_keys
from r1chat.distill.rows import ProblemRow, write_rows
from r1chat.distill.sources.generated import UNASKED
from r1chat.distill.sources.problems import check_problems, load_problems


def written(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "problems.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("row", "gold", "family"),
    [
        ({"question": "p", "answer": "so 3*4 = <<3*4=12>>12\n#### 1,012"}, "1012", ""),
        (
            {"problem": "p", "solution": "no", "answer": "\\frac{1}{2}", "subject": "Algebra", "level": 2},
            "\\frac{1}{2}",
            "Algebra",
        ),
        ({"problem": "p", "solution": "then $\\boxed{x^{2}}$ holds", "type": "Algebra"}, "x^{2}", "Algebra"),
        ({"problem": "p", "solution": "x^{2}"}, "x^{2}", ""),
        ({"problem": "p", "solution": "Three and four make seven.\nSo it is seven."}, None, ""),
        ({"problem": "p", "solution": "We add and add again, " * 9}, None, ""),
        ({"prompt": "p", "gold": 7}, "7", ""),
        ({"prompt": [{"role": "user", "content": "p"}], "answer": False}, "False", ""),
        ({"prompt": "p"}, None, ""),
        ({"id": 3, "prompt": "p", "gold": "1", "source": ["mine"]}, "1", ""),
        ({"prompt": [3, {"content": [{"type": "text", "text": "p"}], "role": "user"}], "check": "x"}, None, ""),
        ({"messages": 3, "problem": "p", "license": ["mit", 2], "answer": [1]}, None, ""),
    ],
)
def test_columns_that_are_understood(tmp_path: Path, row: dict[str, Any], gold: str | None, family: str) -> None:
    (problem,) = load_problems(written(tmp_path, row))
    assert (problem.prompt, problem.gold, problem.family, problem.verifier) == ("p", gold, family, "math")
    assert problem.source == "problems.jsonl"


def test_what_an_instruction_is_about_belongs_to_it(tmp_path: Path) -> None:
    spec = written(tmp_path, {"instruction": "Add.", "input": "1, 2", "output": "3"}, {"instruction": "Sing."})
    assert [problem.prompt for problem in load_problems(spec)] == ["Add.\n\n1, 2", "Sing."]


def test_problems_of_another_run_come_as_they_are(tmp_path: Path) -> None:
    rows = [
        ProblemRow(id=str(i), prompt=f"p{i}", gold=None, source="s", verifier="json", check={"schema": {}})
        for i in range(3)
    ]
    write_rows(tmp_path / "p.jsonl", rows)
    assert load_problems(str(tmp_path / "p.jsonl")) == rows


def test_a_list_in_json_is_read_like_lines_and_each_prompt_once(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"question": q, "answer": "1"} for q in "aba"]))
    assert [problem.prompt for problem in load_problems(str(path))] == ["a", "b"]


def test_a_part_of_a_file_is_drawn_from_all_over_and_the_seed_decides(tmp_path: Path) -> None:
    spec = written(tmp_path, *({"question": f"{i:03}", "answer": "1"} for i in range(200)))
    part = [problem.prompt for problem in load_problems(spec, limit=50)]
    assert part == sorted(part) and len(part) == 50 and part[-1] > "150"
    assert part == [problem.prompt for problem in load_problems(spec, limit=50)]
    assert part != [problem.prompt for problem in load_problems(spec, limit=50, seed=1)]


def test_generated_problems_are_fresh_distinct_and_never_held_out() -> None:
    problems = load_problems("generated", limit=3000, seed=2)
    keys = [prompt_key(problem.prompt) for problem in problems]
    assert len(set(keys)) == len(problems) == 3000
    assert not set(keys) & held_out_keys() and not set(keys) & {prompt_key(prompt) for prompt, _ in RIDDLES}
    assert problems == load_problems("generated", limit=3000, seed=2)
    assert {problem.family for problem in problems}.isdisjoint({"outside"})
    others = {problem.id for problem in load_problems("generated", limit=300, seed=3)}
    assert len(others & {problem.id for problem in problems}) < 150


def test_a_small_family_ends_and_the_others_go_on() -> None:
    problems = load_problems("generated:outside,sums", limit=9000)
    assert len(problems) == 9000
    assert all(p.verifier == ("outside" if p.family == "outside" else "math") for p in problems)


def test_held_out_splits_are_the_ones_that_are_measured() -> None:
    test = load_problems("generated-test")
    expected = {problem.prompt for problem in held_out()["test"] if problem.family not in UNASKED}
    assert {problem.prompt for problem in test} == expected
    assert len({problem.family for problem in test[:12]}) == 12, "a part has of each family as many"
    assert {p.family for p in load_problems("generated-larger:sums,products", limit=10)} == {"sums", "products"}
    trained = {problem.id for problem in load_problems("generated", limit=500)}
    assert trained.isdisjoint(problem.id for problem in test)


def test_a_level_is_the_shorter_or_the_longer_part_of_a_family() -> None:
    easy, hard = (load_problems(f"generated:sums@{level}", limit=100) for level in ("easy", "hard"))
    digits = [sum(len(re.findall(r"\d", problem.prompt)) for problem in part) for part in (easy, hard)]
    assert digits[0] * 1.3 < digits[1]
    assert {problem.family for problem in [*easy, *hard]} == {"sums"}
    with pytest.raises(DistillError, match="no level 'harder', but any, easy, hard"):
        load_problems("generated:sums@harder")


def test_a_split_without_such_a_family_is_an_error() -> None:
    with pytest.raises(
        DistillError, match=r"generated-larger has no problems of outside.* Use: r1chat distill evaluate"
    ):
        load_problems("generated-larger:outside")


def test_problems_of_reasoning_gym() -> None:
    pytest.importorskip("reasoning_gym")
    problems = load_problems("gym:leg_counting,chain_sum", limit=6, seed=1)
    assert [problem.family for problem in problems] == ["leg_counting", "chain_sum"] * 3
    assert all(problem.gold and problem.verifier == "exact" for problem in problems)
    assert problems == load_problems("gym:leg_counting,chain_sum", limit=6, seed=1)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("none.jsonl", "There is no file none.jsonl."),
        ("generated-tset", "no problems generated-tset"),
        ("generated:sumz", "no family 'sumz'"),
        ("nonsense", "'nonsense' names no problems"),
    ],
)
def test_a_spec_that_means_nothing_ends_with_what_to_run(spec: str, says: str) -> None:
    with pytest.raises(DistillError, match=r"r1chat distill \w+ --\w+ \S+$") as error:
        load_problems(spec)
    assert says in str(error.value)


def test_a_file_is_one_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("generated-mine.jsonl").write_text('{"prompt": "p", "gold": "1"}\n')
    check_problems("generated-mine.jsonl")
    assert len(load_problems("generated-mine.jsonl")) == 1


def test_every_family_may_be_named_with_its_level() -> None:
    spec = "generated:" + ",".join(f"{family}@hard" for family in FAMILIES)
    assert len(spec) > 255 and len(load_problems(spec, limit=5)) == 5


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="has no rows"):
        load_problems(written(tmp_path))
