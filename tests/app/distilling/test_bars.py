"""How far a run is, as it is shown: what a stage tells moves the bar or stands beside it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from r1chat.app.distilling.bars import Bars, Lines
from r1chat.app.distilling.progress import StageProgress, duration, metric_text
from r1chat.distill.run_folder import Event


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tell(display: Bars | Lines, stage: str, step: int, **metrics: float) -> None:
    for metric, value in metrics.items():
        display.show(Event(stage, step, metric, value))


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=110, force_terminal=True, color_system=None, legacy_windows=False)


def last_frame(console: Console) -> list[str]:
    """The bars as they stood at the end."""
    return [line.rstrip() for line in shown(console).split("\x1b[2K")[-1].splitlines() if "%" in line]


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end_of_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Lines(clock) as lines:
        for step in range(61):
            tell(
                lines,
                "sft",
                step,
                loss=2.0 - step / 100,
                learning_rate=1e-3,
                grad_norm=1.0,
                share=step / 100,
                tokens_per_second=15300.4,
            )
            clock.now += 1
        tell(lines, "evaluate", 1, share=1.0, pass_at_1=0.712)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "training",
        "training: 9%, 1 min 30 s left, loss 1.91, 15,300 tokens/s",
        "training: 19%, 1 min 20 s left, loss 1.81, 15,300 tokens/s",
        "training: 29%, 1 min 10 s left, loss 1.71, 15,300 tokens/s",
        "training: 39%, 1 min 00 s left, loss 1.61, 15,300 tokens/s",
        "training: 49%, 50.0 s left, loss 1.51, 15,300 tokens/s",
        "training: 59%, 40.0 s left, loss 1.41, 15,300 tokens/s",
        "training: done in 1 min 00 s, loss 1.4, 15,300 tokens/s",
        "solving held-out problems",
        "solving held-out problems: done in 1.0 s, pass@1 71.2%",
    ]


def test_a_run_that_is_stopped_is_not_said_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Lines(Clock()) as lines:
        tell(lines, "sft", 3, share=0.3, loss=1.5)
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines() == ["training", "training: 30%, loss 1.5"]


def test_a_step_is_called_what_its_recipe_calls_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(Clock(), of_recipe=True) as lines:
        tell(lines, "base", 1, share=1.0)
    assert capsys.readouterr().err.splitlines() == ["base", "base: done in 0.0 s"]


def test_a_bar_for_each_stage_and_its_seconds_when_it_is_done(console: Console) -> None:
    clock = Clock()
    with Bars(console, clock) as bars:
        tell(bars, "generate", 1, share=0.5, right=20)
        clock.now += 75
        tell(bars, "generate", 2, share=1.0, right=40)
        tell(bars, "verify", 1, share=0.25)
        clock.now += 10
        tell(bars, "verify", 2, share=0.5)
    generate, verify = last_frame(console)
    assert generate.startswith("collecting traces") and generate.endswith("100 % 1 min 15 s, right 40")
    assert verify.startswith("judging answers") and verify.endswith("100 % 10.0 s")


def test_a_bar_stays_where_an_error_found_it(console: Console) -> None:
    with pytest.raises(RuntimeError), Bars(console, Clock()) as bars:
        tell(bars, "sft", 1, share=0.4)
        raise RuntimeError
    (training,) = last_frame(console)
    assert training.endswith("40 %")


def test_a_resumed_stage_reckons_with_the_pace_since_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Lines(clock) as lines:
        tell(lines, "sft", 80, share=0.8)
        clock.now += 20
        tell(lines, "sft", 90, share=0.9)
        clock.now += 10
        tell(lines, "sft", 95, share=0.95)
    assert "training: 90%, 10.0 s left" in capsys.readouterr().err


def test_a_recipes_step_that_goes_on_does_not_reckon_with_what_was_done_before() -> None:
    stage = StageProgress("base", 0.0)
    for seconds, share in ((0.0, 0.0), (10.0, 0.5), (30.0, 0.6)):
        stage.take(Event("base", 1, "share", share), seconds)
    assert stage.left(30.0) == pytest.approx(80)


def test_time_left_follows_the_pace_of_the_last_minutes() -> None:
    stage = StageProgress("evaluate", 0.0)
    for minute, share in enumerate((0.1, 0.2, 0.3, 0.4, 0.41, 0.42, 0.43)):
        stage.take(Event("evaluate", minute, "share", share), 60.0 * minute)
    assert stage.left(360.0) == pytest.approx(57 * 60)
    skipped = StageProgress("evaluate", 0.0)
    for share in (0.2, 0.4):  # found done, in no time
        skipped.take(Event("evaluate", 1, "share", share), 1.0)
    assert skipped.left(1.0) is None


@pytest.mark.parametrize(("every", "pause"), [(10.0, 3600.0), (200.0, 7200.0)])
def test_a_pause_is_no_part_of_the_pace(every: float, pause: float) -> None:
    stage, now = StageProgress("cold-start", 0.0), 0.0
    for percent in (1, 2, 3, 4):
        now += every
        stage.take(Event("cold-start", percent, "share", percent / 100), now)
    now += pause
    stage.take(Event("cold-start", 5, "share", 0.05), now)
    assert stage.left(now) is None, "not yet"
    now += every
    stage.take(Event("cold-start", 6, "share", 0.06), now)
    assert stage.left(now) == pytest.approx(94 * every)


def test_shares_of_parts_move_the_bar_where_there_is_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Lines(Clock()) as lines:
        tell(lines, "evaluate", 50, test_share=1.0)
        tell(lines, "evaluate", 50, larger_share=0.2)
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines()[-1] == "solving held-out problems: 20%"
    with pytest.raises(KeyboardInterrupt), Lines(Clock()) as lines:
        tell(lines, "verify", 50, share=0.5, consensus_share=0.9)
        raise KeyboardInterrupt
    assert capsys.readouterr().err.splitlines()[-1] == "judging answers: 50%, consensus share 90.0%"


def test_what_a_stage_tells_cannot_steer_the_terminal(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    event = Event("s\x1b[2Jage", 1, "[red]m\x1b[31m", 1.0)
    with Bars(console, Clock()) as bars, Lines(Clock()) as lines:
        bars.show(event)
        lines.show(event)
    assert "\x1b[2J" not in shown(console) and "\x1b[31m" not in shown(console)
    assert "[red]m\\x1b[31m 1" in shown(console)
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("loss", 0.41234, "loss 0.412"),
        ("tokens_per_second", 15300.2, "15,300 tokens/s"),
        ("test_pass_at_1", 0.712, "test pass@1 71.2%"),
        ("gradient_norm", 0.0003, "gradient norm 0.0003"),
        ("student/Q8_0 right", 0.5, "student/Q8_0 right 50.0%"),
        ("bytes", 5_300_000, "5.3 MB"),
        ("tokens", 1024, "tokens 1,024"),
    ],
)
def test_numbers_read_as_people_write_them(name: str, value: float, text: str) -> None:
    assert metric_text(name, value) == text


def test_of_many_numbers_those_that_tell_most_stand_beside_the_bar() -> None:
    stage = StageProgress("rl", began=0.0)
    for metric in (
        "share",
        "reward",
        "clipped_share",
        "accuracy",
        "check_share",
        "update_seconds",
        "held_out_accuracy",
    ):
        stage.take(Event("rl", 1, metric, 0.25), 1.0)
    assert stage.note == "held out accuracy 25.0%, accuracy 25.0%, reward 0.25"
    assert stage.share == 0.25, "a share of answers is no progress"


@pytest.mark.parametrize(("seconds", "text"), [(8.21, "8.2 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_durations_in_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text
