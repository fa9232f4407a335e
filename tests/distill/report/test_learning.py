"""What reinforcement learning changed is told from what was logged, and no surer than the watched problems allow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from r1chat.distill.config import DistillConfig
from r1chat.distill.host import Host
from r1chat.distill.report.curves import smoothed
from r1chat.distill.report.learning import learning_panels, learning_verdict
from r1chat.distill.report.stage import run_stage
from r1chat.distill.report.watched import Watched, awakened, changes, gain, read_watched, telling
from r1chat.distill.rows import RolloutRow, Verdict, write_rows
from r1chat.distill.run_folder import RunFolder
from r1chat.distill.students import STUDENTS

PLAIN, TWICE = "3 + 8 = 11.", "3 + 8 = 11. Wait, that is not 24. Let me check: 8 * 3 = 24."


def row(step: int, problem: str, verdict: Verdict, thought: str = PLAIN, *, watched: bool = True) -> RolloutRow:
    return RolloutRow(
        step=step, problem_id=problem, prompt=f"Reach {problem}.", reasoning=thought, answer=f"\\boxed{{{step}}}",
        finish_reason="stop", verdict=verdict, n_tokens=9, family="countdown", watched=watched,
    )  # fmt: skip


def practised(root: Path, *rows: RolloutRow) -> RunFolder:
    """A run of four steps, watched at both ends."""
    folder = RunFolder(root)
    for step in range(5):
        if step:
            folder.log("grpo", step, reward=step / 4, reward_accuracy=step / 8, accuracy=step / 8, length=20.0 + step,
                       entropy=1.0, clipped_share=0.0, check_share=step / 4, backtrack_share=0.5, share=step / 4)  # fmt: skip
        if step in (0, 4):
            folder.log("grpo", step, held_out_accuracy=0.1 + step / 10, held_out_length=20.0 + step)
    write_rows(folder.rollouts, rows)
    return folder


def watched_of(tmp_path: Path, *rows: RolloutRow) -> Watched:
    write_rows(tmp_path / "rollouts.jsonl", rows)
    return read_watched(tmp_path / "rollouts.jsonl")


def both(problem: str, before: Verdict, after: Verdict, thought: str = PLAIN) -> list[RolloutRow]:
    return [row(0, problem, before), row(4, problem, after, thought)]


def in_order(*pairs: list[RolloutRow]) -> list[RolloutRow]:
    return sorted([each for pair in pairs for each in pair], key=lambda each: each.step)


def test_the_telling_problem_is_one_whose_thought_grew_a_check_and_became_right(tmp_path: Path) -> None:
    rows = in_order(both("a", "right", "right", TWICE), both("b", "wrong", "right"), both("c", "wrong", "right", TWICE),
                    both("d", "wrong", "wrong", TWICE))  # fmt: skip
    found = watched_of(tmp_path, *rows)
    assert (telling(found), awakened(found)) == ("c", ["c"])
    assert changes(found) == {(True, True): 1, (False, True): 2, (False, False): 1}
    without = watched_of(tmp_path, *[each for each in rows if each.problem_id != "c"])
    assert (telling(without), awakened(without)) == ("b", [])


def test_what_a_resumed_training_does_again_counts_once(tmp_path: Path) -> None:
    undone = [row(4, "a", "wrong"), row(5, "x", "right", watched=False)]
    found = watched_of(
        tmp_path, row(0, "a", "wrong"), *undone, row(3, "y", "right", watched=False), row(4, "a", "right")
    )
    assert found.steps == [0, 4] and [each.verdict for each in found.at[4]["a"]] == ["right"]


def test_what_was_asked_once_has_no_before_and_after(tmp_path: Path) -> None:
    found = watched_of(tmp_path, row(0, "a", "wrong"))
    assert (gain(found), telling(found), learning_verdict(found)) == (None, None, None)
    assert read_watched(tmp_path / "none.jsonl") == Watched()


@pytest.mark.parametrize(
    ("learnt", "lost", "words"),
    [
        (16, 0, "In 4 steps the student rose from 0.0\u00a0% to 80.0\u00a0% of 20 held-out problems (+80.0 points"),
        (0, 16, "the student fell from 80.0\u00a0% to 0.0\u00a0%"),
        (2, 1, "not enough data to tell whether it learnt (+5.0 points"),
    ],
)
def test_the_verdict_claims_no_more_than_the_interval(tmp_path: Path, learnt: int, lost: int, words: str) -> None:
    verdicts: list[tuple[Verdict, Verdict]] = [("wrong", "right") for _ in range(learnt)]
    verdicts += [("right", "wrong") for _ in range(lost)]
    verdicts += [("wrong", "wrong") for _ in range(20 - learnt - lost)]
    rows = in_order(*(both(str(n), *pair) for n, pair in enumerate(verdicts)))
    assert words in (learning_verdict(watched_of(tmp_path, *rows)) or "")


def test_curves_hold_what_was_logged_and_nothing_that_was_not(tmp_path: Path) -> None:
    panels = learning_panels(practised(tmp_path).read_events(), "grpo")
    assert [panel.title for panel in panels] == ["Accuracy", "Length in tokens", "Answers that check or turn back"]
    assert [(line.label, line.curve.steps) for line in panels[0].lines] == [
        ("in practice", (1, 2, 3, 4)),
        ("held out", (0, 4)),
    ]
    assert panels[2].lines[0].curve.values == (0.25, 0.5, 0.75, 1.0)
    assert learning_panels([], "grpo") == []


@pytest.mark.slow
def test_a_run_of_practice_has_a_page_without_sections_of_traces(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    rows = in_order(both("a", "wrong", "right", TWICE + hostile))
    folder = practised(tmp_path / "run", *rows)
    config = DistillConfig(STUDENTS["tiny"], folder.root, "practised")
    folder.write_json(folder.record, {"stages": {}})
    run_stage(config, folder, Host(print, print, print))  # type: ignore[arg-type]
    page = (folder.report / "index.html").read_text(encoding="utf-8")
    found = re.findall(r'<section id="(\w+)"', page)
    assert found[:4] == ["accuracy", "learning", "before_after", "rewards"] and not {"data", "forecast"} & set(found)
    assert "step 0" in page and "step 4" in page and "checks, turns back" in page
    assert "1 became right; in 1 of these" in page
    assert hostile not in page and "&lt;script&gt;" in page
    assert (folder.report / "learning-dark.png").exists() and (folder.report / "rewards.png").exists()


def test_a_smoothed_curve_keeps_its_length_and_its_mean() -> None:
    noisy = [1.0 + (-1) ** n for n in range(200)]
    found = smoothed(noisy)
    assert found is not None and len(found) == 200 and max(found[5:-5]) - min(found[5:-5]) < 0.4
    assert smoothed(noisy[:20]) is None
