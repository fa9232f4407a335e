"""Replies that go on from something: what is kept, what is said, what is counted, and how the rest is governed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from engine_tools import finish_of, request, run, scripted_engine, text_of
from hypothesis import example, given
from hypothesis import strategies as st

from r1chat.serve.engine.begun import Beginning, begin
from r1chat.serve.engine.closing_run import ClosingRun
from r1chat.serve.engine.detokenizer import Detokenizer, TextDelta
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.model_runner import ModelRunner
from r1chat.serve.engine.request import Begun, Channel, Event, GenerateRequest, Segment, ThoughtEnded, TokenOutput
from r1chat.serve.errors import ContextLengthError, InvalidRequestError

THOUGHT, ANSWER = "Let me count the sheep.\nAll but nine ran away, so nine are left.", "The answer is \\boxed{9}."
SHEEP = "🐑".encode()
LONGER = [
    b"</think>",
    b"</",
    b"think",
    b">\n\nso",
    b"\n\n",
    b"<think>",
    SHEEP[:2],
    SHEEP[2:],
    b" ten.\n",
    "é🐑 a".encode(),
]


class Bytes:
    """A vocabulary of bytes and a few longer pieces; text is tokenised byte by byte."""

    info = SimpleNamespace(n_vocab=256 + len(LONGER), n_ctx=4096)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return LONGER[token - 256] if token >= 256 else bytes([token])

    def is_end(self, token: int) -> bool:
        return token == 0


RUN = ClosingRun(tag=[256, 260], pieces=["</think>", "\n\n"], line_break=[10], wait=[87], ends=[0])
TOKENS = st.lists(st.sampled_from([*map(ord, "ab <\n/"), *range(256, 256 + len(LONGER))]), max_size=30)


def begun(tokens: list[int], *, reasoning_open: bool = True, **how: Any) -> Beginning:
    detokenizer = Detokenizer(reasoning_open=reasoning_open)
    return begin(Begun(tokens=tuple(tokens), **how), detokenizer, cast(ModelRunner, Bytes()), RUN)


def test_what_is_too_long_for_the_context_is_not_read_before_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many copies of a reply of megabytes would keep everybody waiting for minutes."""
    read_tokens: list[bytes] = []

    def take_over(_: Detokenizer, piece: bytes, *, echo: bool = False) -> list[TextDelta]:
        read_tokens.append(piece)
        return []

    monkeypatch.setattr(Detokenizer, "take_over", take_over)
    found = begun([], segments=(Segment("word " * 4096, False),))
    assert len(found.tokens) == 5 * 4096 and not read_tokens
    engine, _ = scripted_engine(n_ctx=100)
    long = Begun(segments=(Segment("word " * 200, False),))
    with pytest.raises(ContextLengthError):
        engine.add_request(msgspec.structs.replace(request("r"), begun=long))


def test_a_fork_of_a_thought_that_never_was_is_refused_at_its_first_character_too() -> None:
    for cut in ("char", "think_end"):
        with pytest.raises(InvalidRequestError, match="has no thought"):
            begun(list(b"The answer is 9."), reasoning_open=False, cut=cut)


def written(tokens: list[int]) -> bytes:
    return b"".join(map(Bytes().piece, tokens))


def split(deltas: list[TextDelta]) -> tuple[str, str]:
    thought, answer = ("".join(d.text for d in deltas if d.channel is channel) for channel in Channel)
    return thought, answer


def read(data: bytes, detokenizer: Detokenizer | None = None) -> tuple[str, str]:
    detokenizer = detokenizer or Detokenizer(reasoning_open=True)
    return split([*detokenizer.feed(data), *detokenizer.finish()])


@pytest.mark.parametrize("tail", ["<", "a <", "</", "x</think"])
def test_what_might_have_become_a_tag_in_the_answer_is_not_said_twice(tail: str) -> None:
    """An answer that ends so goes on."""
    for more, said in (("b>", "b>"), ("", ""), ("/think>b" if tail.endswith("<") else "b", None)):
        beginning = begun([*b"thought", 256, 260, *b"x ", *tail.encode()])
        answer = read(more.encode(), beginning.detokenizer)[1]
        assert said is None or answer == said


def test_a_reply_of_a_given_form_that_opened_its_thought_itself_goes_on_from_it() -> None:
    detokenizer = Detokenizer(reasoning_open=False, quotes_tags=True)
    tokens = (261, *b"thought", 256, 260, *b"4")
    beginning = begin(Begun(tokens=tokens, echo=True), detokenizer, cast(ModelRunner, Bytes()), RUN)
    assert (*split(beginning.echo), bytes(beginning.answer)) == ("thought", "4", b"4")


@given(tokens=TOKENS, at=st.integers(0, 200), echo=st.booleans())
@example(tokens=[97, 10, 98], at=2, echo=False)
@example(tokens=[97, 262, 263, 98], at=1, echo=False)
@example(tokens=[97, 262, 263, 98], at=2, echo=True)
@example(tokens=[97, 257, 98], at=2, echo=False)
def test_a_thought_is_cut_before_any_character_and_goes_on_as_it_did(tokens: list[int], at: int, echo: bool) -> None:
    thought, answer = read(written(tokens))
    at = min(at, len(thought))
    beginning = begun(tokens, cut="char", n_chars=at, echo=echo)
    assert beginning.detokenizer.new_reasoning_tokens == 0
    assert all(delta.tokens == 0 for delta in beginning.echo)
    kept, whole = written(beginning.tokens).decode(errors="replace"), written(tokens).decode(errors="replace")
    assert whole.startswith(kept)
    echoed, _ = split(beginning.echo)
    said, said_answer = read(whole[len(kept) :].encode(), beginning.detokenizer)
    assert (thought if echo else thought[at:], answer) == (echoed + said, said_answer)


@given(tokens=TOKENS)
@example(tokens=[97, 257, 258, 259])
@example(tokens=[97, 256])
@example(tokens=[])
def test_behind_the_thought_its_tag_stands_closed_whatever_came_after_it(tokens: list[int]) -> None:
    thought, _ = read(written(tokens))
    beginning = begun(tokens, cut="think_end", echo=True)
    assert beginning.detokenizer.state == "content" and not beginning.detokenizer.has_answer
    assert split(beginning.echo)[0].rstrip("\n") == thought.rstrip("\n")
    assert written(beginning.tokens).endswith(b"\n")
    assert read(b"x", beginning.detokenizer) == ("", "x")


def test_a_cut_inside_a_token_tokenises_the_rest_of_it_again() -> None:
    assert begun([97, 264, 98], cut="char", n_chars=3).tokens == [97, ord(" "), ord("t")]
    assert begun([97, 265], cut="char", n_chars=3).tokens == [97, *"é🐑".encode()]
    assert begun([97, 262, 263], cut="char", n_chars=1).tokens == [97], "half a character is not kept"


def test_segments_come_behind_the_cut() -> None:
    beginning = begun([97, 98], cut="char", n_chars=1, segments=(Segment("</think>", True), Segment("so", False)))
    assert written(beginning.tokens) == b"a</think>so"
    assert beginning.detokenizer.state == "content" and beginning.answer == [ord("s"), ord("o")]


@pytest.mark.parametrize(
    "how", [{"tokens": [9999]}, {"tokens": [-1]}, {"tokens": [97, 0]}, {"tokens": [97], "cut": "char", "n_chars": 2}]
)
def test_what_cannot_be_gone_on_from_is_refused(how: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        begun(**how)


def test_the_end_of_a_thought_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        begun([97], cut="think_end", reasoning_open=False)


def going_on(request_id: str, how: Begun, **params: Any) -> GenerateRequest:
    return msgspec.structs.replace(request(request_id, **params), begun=how)


def finished_tokens(engine: Engine, **params: Any) -> tuple[int, ...]:
    return finish_of(run(engine, [request("first", **params)])["first"]).tokens


def test_an_answer_goes_on_behind_the_thought_and_only_what_is_new_is_said_and_computed() -> None:
    engine, _ = scripted_engine()
    tokens = finished_tokens(engine)
    events = run(engine, [going_on("r", Begun(tokens=tokens, cut="think_end"))])["r"]
    usage = finish_of(events).usage
    assert (text_of(events, Channel.REASONING), text_of(events, Channel.CONTENT)) == ("", ANSWER)
    assert (usage.reasoning_tokens, finish_of(events).reasoning_end) == (0, None)
    assert usage.prompt_tokens - usage.cached_tokens == 1
    assert not any(isinstance(event, ThoughtEnded) for event in events)
    again = run(engine, [going_on("s", Begun(tokens=finish_of(events).tokens, cut="think_end"))])["s"]
    assert text_of(again, Channel.CONTENT) == ANSWER


def test_a_thought_that_goes_on_counts_and_says_what_is_new() -> None:
    engine, _ = scripted_engine(script="\nAnd so on. Yes.\n</think>\n\nTen.")
    edited = Begun(segments=(Segment("Let me see.\n", False),))
    events = run(engine, [going_on("r", edited)])["r"]
    assert text_of(events, Channel.REASONING) == "\nAnd so on. Yes."
    finished = finish_of(events)
    (ended,) = [event for event in events if isinstance(event, ThoughtEnded)]
    assert (ended.cause, ended.tokens) == ("natural", 4)
    assert finished.usage.reasoning_tokens == ended.tokens


def test_with_echo_the_whole_reply_is_said_and_the_kept_part_counts_for_nothing() -> None:
    engine, _ = scripted_engine()
    tokens = finished_tokens(engine)
    how = Begun(tokens=tokens, cut="think_end", segments=(Segment("The answer", False),), echo=True)
    events: list[Event] = run(engine, [going_on("r", how)])["r"]
    assert text_of(events, Channel.REASONING) == THOUGHT
    assert text_of(events, Channel.CONTENT).startswith("The answer")
    outputs = [event for event in events if isinstance(event, TokenOutput)]
    assert sum(each.tokens for each in outputs if each.channel is Channel.REASONING) == 0
    assert engine.stats().running == 0 and not engine.has_work


def test_a_budget_bounds_the_whole_thought_its_kept_part_included() -> None:
    engine, _ = scripted_engine(script=" ".join(f"w{i}" for i in range(300)))
    kept = Begun(segments=(Segment(" ".join(f"k{i}" for i in range(20)), False),))
    for budget, n_new in ((30, 10), (20, 0), (5, 0)):
        params = {"reasoning_budget": budget, "reasoning_grace": 0}
        events = run(engine, [going_on(f"r{budget}", kept, **params)])[f"r{budget}"]
        assert finish_of(events).usage.reasoning_tokens == n_new
        assert finish_of(events).reasoning_end == "budget"
        assert text_of(events, Channel.CONTENT).strip()


def test_stop_strings_are_looked_for_in_what_is_new() -> None:
    engine, _ = scripted_engine(script="a</think>one two three")
    how = Begun(segments=(Segment("x\n</think>\n\n", True), Segment("stop two st", False)))
    events = run(engine, [going_on("r", how, stop=("stop", "three"))])["r"]
    assert text_of(events, Channel.CONTENT) == "one two "


def test_the_end_is_not_forbidden_where_the_answer_had_begun() -> None:
    engine, _ = scripted_engine(script="a</think>")
    how = Begun(segments=(Segment("x\n</think>\n\n", True), Segment("Ten", False)))
    events = run(engine, [going_on("r", how)])["r"]
    assert text_of(events, Channel.CONTENT) == ""
    assert finish_of(events).usage.completion_tokens == 1


def test_what_leaves_no_room_is_refused() -> None:
    engine, _ = scripted_engine(n_ctx=64)
    with pytest.raises(ContextLengthError):
        engine.add_request(going_on("r", Begun(segments=(Segment("word " * 60, False),))))
    assert not engine.has_work
