"""Ready traces of many layouts: the thought byte for byte, the same ids each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1chat.distill.errors import DistillError
from r1chat.distill.problems import FAMILIES, prompt_key
from r1chat.distill.problems.held_out import held_out_keys
from r1chat.distill.rows import ProblemRow, Teacher, TraceRow, write_rows
from r1chat.distill.sources.replies import replies_of, split_reply
from r1chat.distill.sources.traces import load_traces
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.judge import Judge


def written(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@settings(max_examples=60)
@given(
    thought=st.text(min_size=1).filter(lambda text: text == text.strip("\n")),
    answer=st.text(min_size=1).filter(lambda text: text == text.lstrip("\n")),
)
def test_a_thought_with_a_column_of_its_own_loses_only_the_newlines_at_the_tags(thought: str, answer: str) -> None:
    for row in ({"reasoning": thought, "content": answer}, {"reasoning": f"\n{thought}\n", "content": f"\n\n{answer}"}):
        (reply,) = replies_of(msgspec.json.decode(msgspec.json.encode({"prompt": "p", **row})), "file")
        assert (reply.reasoning, reply.answer) == (thought, answer)


@settings(max_examples=60)
@given(
    thought=st.text(min_size=1).filter(lambda text: text == text.strip("\n") and "think>" not in text), answer=st.text()
)
def test_a_thought_between_tags_loses_only_the_newlines_at_the_tags(thought: str, answer: str) -> None:
    for text in (f"<think>\n{thought}\n</think>\n\n{answer}", f"{thought}</think>\n{answer}"):
        reply = split_reply(text, None)
        assert (reply.reasoning, reply.answer, reply.finish_reason) == (thought, answer.lstrip("\n"), "stop")


TAGGED = "<think>\nHm.\n</think>\n\nSix."
LAYOUTS = [
    ({"prompt": "p", "reasoning": "Hm.", "content": "Six."}, None),
    ({"question": "p", "reasoning_content": "Hm.", "response": "Six.", "answer": "6"}, "6"),
    ({"question": "p", "thinking": "Hm.", "answer": "Six.", "gold": 6}, "6"),
    ({"instruction": "p", "output": TAGGED, "solution": "so \\boxed{6}"}, "6"),
    ({"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": TAGGED}]}, None),
    ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "p"},
                   {"role": "assistant", "reasoning_content": "Hm.", "content": "Six."}]}, None),
    ({"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": TAGGED}]}, None),
    ({"problem": "p", "answer": "6", "generations": [TAGGED], "correctness_math_verify": [True],
      "is_reasoning_complete": [True], "messages": [{"role": "user", "content": "other"}]}, "6"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "gold"), LAYOUTS)
def test_layouts_that_are_understood(tmp_path: Path, row: dict[str, Any], gold: str | None) -> None:
    (trace,) = load_traces(written(tmp_path, row))
    assert (trace.problem.prompt, trace.reasoning, trace.answer) == ("p", "Hm.", "Six.")
    assert (trace.problem.gold, trace.finish_reason) == (gold, "stop")


def test_a_worked_solution_is_a_trace_of_a_person(tmp_path: Path) -> None:
    rows = (
        {"question": "p", "answer": "He has 3*4 = <<3*4=12>>12.\n#### 1,012"},
        {"problem": "q", "solution": "Thus $\\boxed{\\frac{1}{2}}$.", "answer": "\\frac{1}{2}"},
    )
    first, second = load_traces(written(tmp_path, *rows))
    assert (first.reasoning, first.answer) == ("He has 3*4 = 12.", "The answer is \\boxed{1012}.")
    assert (second.reasoning, second.problem.gold) == ("Thus $\\boxed{\\frac{1}{2}}$.", "\\frac{1}{2}")
    assert first.teacher.name == "traces.jsonl (worked solutions)"


def test_who_wrote_it_how_long_it_is_and_its_licence_come_from_the_row(tmp_path: Path) -> None:
    row = {"id": 7, "prompt": "p", "reasoning": "r", "content": "c", "model": "deepseek-r1", "licence": "CC0-1.0",
           "completion_tokens": 55, "finish_reason": "length"}  # fmt: skip
    (trace,) = load_traces(written(tmp_path, row))
    assert trace.teacher == Teacher(name="deepseek-r1", licence="CC0-1.0") and trace.problem.licence == "CC0-1.0"
    assert (trace.n_tokens, trace.finish_reason) == (55, "length")


def test_samples_of_one_prompt_share_the_problem_and_are_numbered(tmp_path: Path) -> None:
    rows = [{"prompt": p, "reasoning": f"r{i}", "content": "c"} for i, p in enumerate(("a", "b", "a"))]
    spec = written(tmp_path, *rows)
    traces = list(load_traces(spec))
    assert [trace.sample for trace in traces] == [0, 0, 1] and traces[0].problem.id == traces[2].problem.id
    assert len({trace.id for trace in traces}) == 3
    assert traces == list(load_traces(spec)), "the same rows give the same traces"
    assert list(load_traces(spec, limit=2)) == traces[:2]


@pytest.mark.parametrize("keys", ['{"a": 4}', '[{"id": "a", "gold": "4"}]', '{"id": "a", "answer": 4}\n'])
def test_golds_are_joined_by_id(tmp_path: Path, keys: str) -> None:
    spec = written(tmp_path, *({"id": name, "prompt": name, "reasoning": "r", "content": "c"} for name in "ab"))
    (tmp_path / "keys.json").write_text(keys)
    assert [trace.problem.gold for trace in load_traces(f"{spec}@{tmp_path}/keys.json")] == ["4", None]


def test_golds_are_joined_by_ids_that_begin_with_0(tmp_path: Path) -> None:
    spec = written(tmp_path, *({"id": n, "prompt": f"{n}+1?", "reasoning": "So.", "content": str(n + 1)} for n in range(2)))
    (tmp_path / "golds.json").write_text(json.dumps({"0": "1", "1": "2"}), encoding="utf-8")
    assert [row.problem.gold for row in load_traces(f"{spec}@{tmp_path / 'golds.json'}")] == ["1", "2"]


def test_traces_of_another_run_come_as_they_are(tmp_path: Path) -> None:
    problem = ProblemRow(id="1", prompt="p", gold=None, source="s", verifier="none")
    trace = TraceRow(id="x", problem=problem, teacher=Teacher(name="t", sha256="ab"), sample=3, reasoning=None,
                     answer="a", finish_reason="length", created=12.5, params={"seed": 1})  # fmt: skip
    write_rows(tmp_path / "traces.jsonl", [trace])
    assert list(load_traces(str(tmp_path / "traces.jsonl"))) == [trace]


def test_our_families_write_the_traces_of_their_own_problems() -> None:
    traces = list(load_traces("written:sums,quotients", limit=6, seed=4))
    assert [trace.problem.family for trace in traces] == ["sums", "quotients"] * 3
    assert all(trace.reasoning and f"\\boxed{{{trace.problem.gold}}}" in trace.answer for trace in traces)
    assert {trace.teacher.name for trace in traces} == {"written by rule"}
    assert traces == list(load_traces("written:sums,quotients", limit=6, seed=4))
    assert not {trace.id for trace in traces} & {trace.id for trace in load_traces("written:sums", limit=6, seed=5)}


def test_every_written_trace_is_right_and_none_of_a_held_out_problem() -> None:
    traces = list(load_traces(f"written:{','.join(FAMILIES)}", limit=8 * len(FAMILIES)))
    assert {trace.problem.family for trace in traces} == set(FAMILIES)
    assert not {prompt_key(trace.problem.prompt) for trace in traces} & held_out_keys()
    with Judge(VerifyConfig(sandbox=True)) as judge:
        rulings = list(judge.verdicts((trace.problem, trace.answer) for trace in traces))
    wrong = [(trace.problem.prompt, trace.answer, ruling) for trace, ruling in zip(traces, rulings, strict=True)
             if ruling.verdict != "right"]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("none.jsonl", "There is no file none.jsonl."),
        ("nonsense", "'nonsense' names no traces"),
        ("written:sumz", "no family 'sumz'"),
    ],
)
def test_a_spec_that_means_nothing_ends_with_what_to_run(spec: str, says: str) -> None:
    with pytest.raises(DistillError, match=r"r1chat distill generate --\w+ \S+$") as error:
        list(load_traces(spec))
    assert says in str(error.value)


def test_columns_that_are_not_understood_are_named(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match=r"no reply in a row with the columns question, text2; understood are gene"):
        list(load_traces(written(tmp_path, {"question": "p", "text2": "c"})))
    with pytest.raises(DistillError, match=r"no problem in a row with the columns response; understood are problem, q"):
        list(load_traces(written(tmp_path, {"response": "c"})))


def test_a_row_without_a_reply_costs_itself_alone(tmp_path: Path) -> None:
    without: tuple[dict[str, Any], ...] = (
        {"problem": "q", "solution": None}, {"problem": "r", "content": ""}, {"problem": "s", "solution": "No\nbox."},
    )  # fmt: skip
    spec = written(tmp_path, without[0], {"problem": "p", "solution": "Thus \\boxed{2}."}, *without[1:])
    assert [trace.problem.prompt for trace in load_traces(spec)] == ["p"]
    with pytest.raises(DistillError, match=r"traces\.jsonl has no whole reply in any of its 3 rows.*generate --traces"):
        list(load_traces(written(tmp_path, *without)))


@pytest.mark.parametrize("reasoning", [["a"], 3, {"text": "a"}])
def test_a_column_of_another_kind_is_refused_before_it_is_written(tmp_path: Path, reasoning: Any) -> None:
    with pytest.raises(DistillError, match=r"A row of traces\.jsonl is no trace: .*r1chat distill generate --traces"):
        list(load_traces(written(tmp_path, {"prompt": "p", "reasoning": reasoning, "content": "c"})))


def test_counts_and_reasons_of_another_kind_do_no_harm(tmp_path: Path) -> None:
    odd = {"finish_reason": 5, "completion_tokens": True, "license": ["mit"], "check": 3}
    (trace,) = load_traces(written(tmp_path, {"prompt": "p", "reasoning": "r", "content": "c", **odd}))
    assert (trace.finish_reason, trace.n_tokens, trace.problem.licence) == ("5", None, "mit")


@pytest.mark.parametrize("line", ['{"prompt": ' + "[" * 100_000, '{"prompt": "p", "check": ' + '{"a":' * 50_000])
def test_nothing_is_nested_so_deep_that_it_raises(tmp_path: Path, line: str) -> None:
    (tmp_path / "deep.jsonl").write_text(line + "\n")
    with pytest.raises(DistillError, match=r"line 1, is no JSON object .*: sed -n 1p"):
        list(load_traces(str(tmp_path / "deep.jsonl")))


def test_a_line_that_is_no_json_is_told_with_its_number(tmp_path: Path) -> None:
    path = Path(written(tmp_path, {"prompt": "p", "reasoning": "r", "content": "c"}))
    path.write_text("\ufeff" + path.read_text() + "\n" + path.read_text()[:20])
    traces = load_traces(str(path))
    assert next(traces).answer == "c"
    with pytest.raises(DistillError, match=r"line 3, is no JSON object .* sed -n 3p"):
        next(traces)
