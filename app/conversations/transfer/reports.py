"""What a file says of how a group came out: its shape checked, its messages under their new names."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ....serve.errors import InvalidRequestError
from ..records import Group, Message


class _Option(msgspec.Struct):
    answer: str
    votes: int
    choices: list[int]


class _Report(msgspec.Struct, omit_defaults=True):
    """As app/jobs/many.py and the API's VoteReport leave it; what else stands there is left behind."""

    replies: list[str]
    n: int = 0
    n_finished: int = 0
    n_stopped: int = 0
    votes: int = 0
    answer: str | None = None
    choice: int | None = None
    tally: list[_Option] = []
    answers: dict[str, str | None] = {}
    marks: dict[str, Literal["right", "wrong", "none"]] = {}
    agree: bool | None = None
    over: bool = False


def adopted_report(group: Group, messages: list[Message], names: dict[str, str]) -> dict[str, Any]:
    """The report of `group`, whose replies are among `messages`; `names` leads from old ids to new ones.

    Raises InvalidRequestError for what no vote comes to.
    """
    of_group = [message.id for message in messages if message.group == group.id]
    try:
        report = msgspec.convert({"replies": of_group, **group.report}, _Report)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"The group {group.id[:40]!r} cannot be read: {error}.") from None
    numbers = [number for option in report.tally for number in option.choices]
    numbers += [] if report.choice is None else [report.choice]
    if sorted(report.replies) != sorted(of_group) or not all(0 <= number < len(of_group) for number in numbers):
        raise InvalidRequestError(f"The group {group.id[:40]!r} speaks of replies that are not there.")
    report.replies = [names[reply] for reply in report.replies]
    report.answers = {names[reply]: answer for reply, answer in report.answers.items() if reply in names}
    report.marks = {names[reply]: mark for reply, mark in report.marks.items() if reply in names}
    told: dict[str, Any] = msgspec.to_builtins(report)
    return told
