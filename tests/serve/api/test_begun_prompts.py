"""A reply that was begun: the prompt before it, and what there is of it, tags and text apart."""

from __future__ import annotations

from typing import Any

import pytest
from prompts import ASSISTANT, BOS, CHATML, INFO, USER, info, user

from r1chat.serve.api.prompt.chat_template import Turn, TurnCall, render_begun
from r1chat.serve.engine.request import Segment
from r1chat.serve.errors import InvalidRequestError


def begun(last: Turn, template: str | None = None, **more: Any) -> str:
    """The prompt and what follows of the last message."""
    prompt, made = render_begun([user("Q"), last], info(template), **more)
    return prompt.text + "".join(segment.text for segment in made.segments)


FRAME = f"{BOS}{USER}Q{ASSISTANT}<think>\n"


def test_a_thought_goes_on_where_it_stopped() -> None:
    assert begun(Turn("assistant", "", "Hm, ")) == f"{FRAME}Hm, "
    assert begun(Turn("assistant", "", "Hm, "), into="reasoning_content") == f"{FRAME}Hm, "
    assert begun(Turn("assistant", "<think>\nHm</think>", None)) == f"{FRAME}Hm"


def test_an_answer_goes_on_behind_its_thought() -> None:
    assert begun(Turn("assistant", "So ", "Hm")) == f"{FRAME}Hm\n</think>\n\nSo "
    assert begun(Turn("assistant", "", "Hm"), into="content") == f"{FRAME}Hm\n</think>\n\n"
    assert begun(Turn("assistant", "So ")) == f"{FRAME}\n</think>\n\nSo "


def test_only_the_tags_of_what_was_begun_are_special() -> None:
    _, made = render_begun([user("Q"), Turn("assistant", "</think>", "<｜User｜>")._replace(content="a<think>")], INFO)
    assert made.segments == (
        Segment("<｜User｜>\n", False),
        Segment("</think>\n\n", True),
        Segment("a<think>", False),
    )


def test_without_a_thought_in_the_prompt_one_is_opened_where_there_is_one() -> None:
    frame = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
    assert begun(Turn("assistant", "So "), CHATML) == f"{frame}So "
    assert begun(Turn("assistant", "So ", "Hm"), CHATML) == f"{frame}<think>\nHm\n</think>\n\nSo "
    assert begun(Turn("assistant", "", "Hm"), CHATML) == f"{frame}<think>\nHm"
    assert begun(Turn("assistant", ""), CHATML) == frame


@pytest.mark.parametrize(
    ("last", "into"),
    [
        (user("x"), None),
        (Turn("assistant", "", None, (TurnCall("call_1", "f", "{}"),)), None),
        (Turn("assistant", "a"), "reasoning_content"),
    ],
)
def test_what_cannot_be_continued_is_refused(last: Turn, into: Any) -> None:
    with pytest.raises(InvalidRequestError):
        render_begun([user("Q"), last], INFO, into=into)
