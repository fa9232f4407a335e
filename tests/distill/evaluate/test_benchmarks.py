"""Each benchmark read from a file of its own columns; its tests unpacked without running what a pickle may name."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from r1chat.distill.errors import DistillError
from r1chat.distill.rows import ProblemRow
from r1chat.distill.sources.benchmarks import BENCHMARKS, load_benchmark
from r1chat.distill.sources.instructions import BOXED, LETTER
from r1chat.distill.sources.problems import load_problems
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.judge import Judge


def packed(tests: list[dict[str, str]]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


PROGRAM = {
    "question_content": "Add one.", "starter_code": "", "difficulty": "easy", "metadata": "{}",
    "public_test_cases": '[{"input": "1\\n", "output": "2\\n", "testtype": "stdin"}]',
    "private_test_cases": packed([{"input": "5\n", "output": "6\n", "testtype": "stdin"}]),
}  # fmt: skip
FUNCTION = {
    **PROGRAM, "starter_code": "class Solution:\n    def add(self, a: int, b: int) -> int:\n        ",
    "metadata": '{"func_name": "add"}', "public_test_cases": '[{"input": "1\\n2", "output": "3"}]',
    "private_test_cases": packed([{"input": "5\n6", "output": "11", "testtype": "functional"}]),
}  # fmt: skip
GPQA = {
    "Question": "Which particle is heaviest?", "Correct Answer": "the top quark", "Incorrect Answer 1": "the electron",
    "Incorrect Answer 2": "the muon", "Incorrect Answer 3": "the photon", "High-level domain": "Physics",
}  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {
    "gsm8k": {"question": "How many?", "answer": "He has 1,000 + 5.\n#### 1,005"},
    "math-500": {"problem": "What is $\\frac12$?", "solution": "...", "answer": "\\frac{1}{2}", "subject": "Algebra"},
    "aime-2024": {"id": 60, "problem": "Find it.", "solution": "", "answer": "033", "url": "", "year": "2024"},
    "aime-2025": {"problem": "Find it.", "answer": 70},
    "gpqa-diamond": GPQA,
    "ifeval": {
        "key": 1, "prompt": "Write in lower case.", "instruction_id_list": ["change_case:english_lowercase"],
        "kwargs": [{"num_words": None}],
    },
    "livecodebench": PROGRAM,
}  # fmt: skip


def read(tmp_path: Path, name: str, *rows: dict[str, Any], limit: int | None = None) -> list[ProblemRow]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(f"{name}={path}", limit=limit)


def test_every_benchmark_is_read() -> None:
    assert set(ROWS) == set(BENCHMARKS)


@pytest.mark.parametrize(
    ("name", "gold", "verifier", "family"),
    [
        ("gsm8k", "1005", "math", ""),
        ("math-500", "\\frac{1}{2}", "math", "Algebra"),
        ("aime-2024", "33", "math", ""),
        ("aime-2025", "70", "math", ""),
        ("ifeval", None, "instructions", ""),
        ("livecodebench", None, "code", "easy"),
    ],
)
def test_a_row_becomes_a_problem(tmp_path: Path, name: str, gold: str | None, verifier: str, family: str) -> None:
    (problem,) = read(tmp_path, name, ROWS[name])
    assert (problem.gold, problem.verifier, problem.family, problem.source) == (gold, verifier, family, name)


def test_mathematics_is_asked_for_in_a_box_as_deepseek_advises(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, "gsm8k", ROWS["gsm8k"])
    assert problem.prompt == f"How many?\n\n{BOXED}"


def test_the_options_of_a_choice_are_shuffled_and_the_right_letter_is_judged_right(tmp_path: Path) -> None:
    rows = [{**GPQA, "Question": f"Question {i}: which particle is heaviest?"} for i in range(40)]
    problems = read(tmp_path, "gpqa-diamond", *rows)
    assert {problem.gold for problem in problems} == set("ABCD")
    assert problems == read(tmp_path, "gpqa-diamond", *rows)
    with Judge(VerifyConfig(workers=1)) as judge:
        for problem in problems[:8]:
            right = next(line for line in problem.prompt.splitlines() if line.endswith("the top quark"))
            assert right.startswith(f"{problem.gold}. ")
            assert judge.verdict(problem, f"So it is \\boxed{{{problem.gold}}}.").verdict == "right"
            assert judge.verdict(problem, "So it is \\boxed{E}.").verdict == "wrong"
    assert problems[0].prompt.endswith(LETTER)


def test_instructions_reach_the_judge_without_the_columns_that_are_empty(tmp_path: Path) -> None:
    (problem,) = read(tmp_path, "ifeval", ROWS["ifeval"])
    assert problem.check == {"instructions": [{"id": "change_case:english_lowercase", "kwargs": {}}]}
    assert problem.prompt == "Write in lower case."
    with Judge(VerifyConfig(workers=1)) as judge:
        assert judge.verdict(problem, "all is small here.").verdict == "right"
        assert judge.verdict(problem, "Not All Is Small.").verdict == "wrong"


def test_tests_in_the_open_and_packed_ones_are_those_of_the_judge(tmp_path: Path) -> None:
    program, function = read(tmp_path, "livecodebench", PROGRAM, FUNCTION)
    assert program.check is not None and function.check is not None
    setups = {program.check.pop("setup"), function.check.pop("setup")}
    assert program.check == {"tests": [{"input": "1\n", "output": "2\n"}, {"input": "5\n", "output": "6\n"}]}
    assert function.check == {
        "function": "add",
        "tests": [{"args": [1, 2], "output": 3}, {"args": [5, 6], "output": 11}],
    }
    assert "standard input" in program.prompt
    assert "def add(self, a: int, b: int) -> int:" in function.prompt
    space: dict[str, Any] = {}
    exec(setups.pop(), space)  # what every program of the benchmark may count on
    assert not setups and {"List", "defaultdict", "heappush", "gcd", "lru_cache", "math"} <= space.keys()


class Trap:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("trap"),))


def test_a_pickle_that_calls_a_function_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = base64.b64encode(zlib.compress(pickle.dumps(Trap()))).decode()
    with pytest.raises(DistillError, match="instead of holding text"):
        read(tmp_path, "livecodebench", {**PROGRAM, "private_test_cases": hostile})
    assert not Path("trap").exists()


def test_a_part_is_drawn_from_all_over_and_stays_the_same(tmp_path: Path) -> None:
    rows = [{"question": f"How many are {i}?", "answer": f"#### {i}"} for i in range(100)]
    part = read(tmp_path, "gsm8k", *rows, limit=10)
    golds = [int(problem.gold or 0) for problem in part]
    assert golds == sorted(golds)
    assert max(golds) > 50
    assert part == read(tmp_path, "gsm8k", *rows, limit=10)


def test_other_columns_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="has the columns text, not those of Idavidrein/gpqa") as failed:
        read(tmp_path, "gpqa-diamond", {"text": "?"})
    assert "\n" not in str(failed.value)


def test_a_hub_out_of_reach_is_told_at_once_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="needs the extra `distill`")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        DistillError, match=r"math-500 cannot be read from .* HF_HUB_OFFLINE=1 r1chat distill evaluate$"
    ):
        load_benchmark("math-500")
