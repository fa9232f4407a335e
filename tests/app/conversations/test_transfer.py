"""Conversations into files and back: nothing lost, nothing half, and nothing of a model's text becomes markup."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from r1chat.app.conversations.records import Conversation, Group, Message, Settings
from r1chat.app.conversations.transfer.reading import read
from r1chat.app.conversations.transfer.tree import Tree, adopted, shown_path, turns
from r1chat.app.conversations.transfer.writing import FORMATS, file_name
from r1chat.serve.errors import InvalidRequestError

# A busy machine is slow, not wrong.
# What could end a fold, a fence or a line early.
FRAGMENTS = (
    *("</details>", "<details>", "<summary>", "```", "````", "~~~", "`", "\n", "\n\n", "    ", "\t", "> ", "- ", "# "),
    *("<b>", "\\", "\\<i>", "<!--", "-->", "<script>alert(1)</script>", "![x](http://evil.example/p)", "a", "\r"),
    *("<?php", "<![CDATA[", "| a | b |\n|---|---|\n", "$$", "</think>", "<think>", "&lt;", "\x00", "\x1b[31m", "é"),
    *("[r]: http://evil.example\n", "![r]", "===\n", "1. "),
)
NASTY = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
TEXT = st.one_of(NASTY, st.text(st.characters(codec="utf-8"), max_size=30))
NAMES = st.text("abcdef0123456789", min_size=1, max_size=8)
MOMENTS = st.floats(0, 2e9)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Any tree: each message hangs on one before it, or on none."""
    conversation_id = draw(NAMES)
    groups = [Group(id=f"g{n}", conversation=conversation_id, kind="vote", gold=draw(TEXT)) for n in range(2)]
    messages: list[Message] = []
    for n in range(draw(st.integers(0, 6))):
        above = draw(st.sampled_from([None, *messages]))
        messages.append(
            Message(
                id=f"m{n}",
                conversation=conversation_id,
                parent=above.id if above else None,
                role="user" if above is None or above.role == "assistant" else "assistant",
                state=draw(st.sampled_from(["done", "stopped", "failed", "interrupted"])),
                content=draw(TEXT),
                reasoning=draw(TEXT),
                created=draw(MOMENTS),
                group=(group := draw(st.sampled_from([None, "g0", "g1"]))),
                choice=draw(st.integers(0, 7)) if group else 0,
                kept_chars=draw(st.integers(0, 99)),
                thinking_s=draw(MOMENTS),
                settings=draw(st.sampled_from([None, Settings(temperature=0.7, seed=3)])),
                usage={"prompt_tokens": draw(st.integers(0, 2**53))},
            )
        )
    return Tree(
        conversation=Conversation(
            id=conversation_id,
            title=draw(TEXT),
            created=draw(MOMENTS),
            updated=draw(MOMENTS),
            pinned=draw(st.booleans()),
            collects=draw(st.booleans()),
            head=draw(st.sampled_from([message.id for message in messages])) if messages else None,
            settings=Settings(system=draw(TEXT), thinking="budget", budget=draw(st.integers(0, 9))),
        ),
        messages=messages,
        groups=groups,
    )


def linear(*said: str, reasoning: str = "", system: str = "", **more: Any) -> Tree:
    """A conversation without branches; every second text is a reply, which thought `reasoning`."""
    messages = [
        Message(
            id=f"m{n}",
            conversation="c",
            parent=f"m{n - 1}" if n else None,
            role="assistant" if n % 2 else "user",
            content=text,
            reasoning=reasoning if n % 2 else "",
            **more,
        )
        for n, text in enumerate(said)
    ]
    conversation = Conversation(id="c", title="A title", head=messages[-1].id, settings=Settings(system=system))
    return Tree(conversation=conversation, messages=messages)


def written(name: str, *whole: Tree, thoughts: bool = True) -> str:
    return "".join(FORMATS[name].write(whole, thoughts=thoughts))


def sorted_by_id(tree: Tree) -> Tree:
    return replace(tree, messages=sorted(tree.messages, key=lambda message: message.id))


def refusal(data: str | bytes) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        read(data if isinstance(data, bytes) else data.encode())
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


@given(st.lists(trees(), min_size=1, max_size=3))
def test_our_own_file_comes_back_as_it_was(whole: list[Tree]) -> None:
    back = [sorted_by_id(tree) for tree in read(written("json", *whole).encode())]
    assert back == [tree for tree in whole if tree.messages]


@given(trees())
def test_an_adopted_tree_differs_in_its_names_alone(tree: Tree) -> None:
    first, second = adopted(tree, "me"), adopted(tree, "me")
    ids = {message.id for made in (first, second) for message in made.messages}
    assert len(ids) == 2 * len(tree.messages)
    assert first.conversation.owner == "me"
    names = {made.id: message.id for made, message in zip(first.messages, tree.messages, strict=True)}
    assert [names[message.id] for message in shown_path(first)] == [message.id for message in shown_path(tree)]
    assert [names.get(made.parent or "") for made in first.messages] == [message.parent for message in tree.messages]
    assert [made.content for made in first.messages] == [message.content for message in tree.messages]
    homes = [made.conversation for made in first.messages] + [made.conversation for made in first.groups]
    assert set(homes) <= {first.conversation.id}


def test_what_names_a_reply_on_the_wire_stays_behind_and_what_was_live_is_interrupted() -> None:
    tree = linear("q", "a", reply_id="chatcmpl-1", choice=3, state="live")
    kept = adopted(read(written("json", tree).encode())[0], "")
    assert {(message.reply_id, message.choice, message.state) for message in kept.messages} == {("", 0, "interrupted")}
    assert "chatcmpl-1" not in written("json", tree)


def test_an_adopted_group_speaks_of_its_own_replies_and_of_nothing_that_a_vote_never_says() -> None:
    tree = linear("q", "a")
    reply = replace(tree.messages[-1], group="g")
    tree = replace(tree, messages=[tree.messages[0], reply])
    report = {
        "replies": [reply.id],
        "tally": [{"answer": "1", "votes": 1, "choices": [0]}],
        "answers": {reply.id: "1"},
        "choice": 0,
        "over": True,
    }
    group = Group(id="g", conversation=tree.conversation.id, kind="vote", report=report)
    kept = adopted(replace(tree, groups=[group]), "")
    name = kept.messages[-1].id
    assert kept.groups[0].report == report | {"replies": [name], "answers": {name: "1"}}
    wrongs: tuple[dict[str, Any], ...] = (
        {"replies": ["of-another"]},
        {"replies": 3},
        {"tally": 5},
        {"tally": [{}]},
        {"choice": 8},
    )
    for wrong in wrongs:
        bad = replace(group, report=report | wrong)
        with pytest.raises(InvalidRequestError, match="group 'g'"):
            adopted(replace(tree, groups=[bad]), "")


def test_thoughts_can_be_left_out_of_every_format() -> None:
    tree = linear("q", "answer", reasoning="SECRET")
    for name in FORMATS:
        assert "SECRET" in written(name, tree) and "SECRET" not in written(name, tree, thoughts=False)


class Seen(HTMLParser):
    """What a viewer makes of the rendered file: its tags, its folds' depth, and the text of each fold's code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.depth = 0
        self.thoughts: list[str] = []
        self.in_thought = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.depth += tag == "details"
        assert self.depth <= 1
        if tag == "code" and self.depth:
            self.thoughts.append("")
            self.in_thought = True

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"
        assert self.depth >= 0
        self.in_thought &= tag != "code"

    def handle_data(self, data: str) -> None:
        if self.in_thought:
            self.thoughts[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError("a declaration")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a section")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("an instruction")


MARKUP = {"p", "pre", "code", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "hr", "br", "em"}
MARKUP |= {"strong", "a", "table", "thead", "tbody", "tr", "th", "td", "s"}


@given(NASTY, NASTY, NASTY)
def test_nothing_said_breaks_a_fold_or_becomes_html(question: str, thought: str, answer: str) -> None:
    tree = linear(question, answer, "again", f"x\n{answer}", reasoning=thought + ".")
    source = written("md", replace(tree, conversation=replace(tree.conversation, title=question)))
    for flavour in ("commonmark", "gfm-like"):
        viewer = MarkdownIt(flavour, {"html": True, "linkify": False})
        seen = Seen()
        seen.feed(viewer.render(source))
        seen.close()
        assert seen.depth == 0 and seen.tags.count("details") == seen.tags.count("summary") == 2
        assert set(seen.tags) <= MARKUP | {"details", "summary"}
        # Line ends are the viewer's, and control characters are drawn.
        plain = (
            (thought + ".\n")
            .replace("\r\n", "\n")
            .replace("\r", "\n")
            .replace("\x00", "\u2400")
            .replace("\x1b", "\u241b")
        )
        assert seen.thoughts == [plain, plain]


def test_markdown_keeps_code_formulas_and_comparisons_readable() -> None:
    said = "Is `a` < b?\n\n```html\n<b>bold</b>\n```\n\n\\( x<y \\) and 1 < 2 &amp; <i>"
    text = written("md", linear("q", said, reasoning="hm"))
    assert "```html\n<b>bold</b>\n```" in text and "1 < 2" in text and "&lt;i>" in text
    assert "<summary>Thought</summary>" in text


def test_an_unfinished_code_block_ends_with_its_message() -> None:
    text = written("md", linear("q", "```python\nprint(1)", "next", "b"))
    assert "<h2>Question</h2>\n<p>next</p>" in MarkdownIt().render(text)


@given(st.lists(st.tuples(TEXT, TEXT.filter(bool), TEXT), min_size=1, max_size=3), TEXT)
def test_messages_come_back_with_their_reasoning(said: list[tuple[str, str, str]], system: str) -> None:
    rows = [{"role": "system", "content": system}] if system else []
    for question, answer, thought in said:
        rows.append({"role": "user", "content": f"Q{question}"})
        rows.append({"role": "assistant", "content": f"A{answer}"})
        if thought:
            rows[-1]["reasoning_content"] = thought
    tree = read(msgspec.json.encode({"messages": rows}))[0]
    assert msgspec.json.decode(written("messages", tree)) == {"messages": rows}
    assert [(question.content, reply.reasoning) for question, reply in turns(tree)] == [
        (f"Q{question}", thought) for question, _, thought in said
    ]


@given(TEXT.filter(lambda text: "</think>" not in text), TEXT.filter(bool))
def test_sharegpt_thoughts_stand_in_tags_and_come_apart_again(thought: str, answer: str) -> None:
    text = written("sharegpt", linear("q", answer, reasoning=thought))
    reply = read(text.encode())[0].messages[1]
    assert (reply.reasoning, reply.content) == (thought, answer)
    assert json.loads(text)["conversations"][0] == {"from": "human", "value": "q"}


def test_lines_for_training_hold_whole_turns_alone() -> None:
    tree = linear("unanswered", "", "q", "a", "open question")
    rows = json.loads(written("messages", tree))["messages"]
    assert [row["content"] for row in rows] == ["q", "a"]
    assert written("messages", linear("only a question")) == ""


def node(parent: str | None, role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": list(parts)}
    return {"parent": parent, "message": {"author": {"role": role}, "content": content} | more}


def thinking(parent: str, *thoughts: dict[str, str]) -> dict[str, Any]:
    return node(parent, "assistant", content={"content_type": "thoughts", "thoughts": list(thoughts)})


def test_chatgpts_tree_comes_with_its_branches_and_thoughts() -> None:
    mapping = {
        "root": {"parent": None, "message": None},
        "sys": node("root", "system", "be kind", metadata={"is_visually_hidden_from_conversation": True}),
        "q": node("sys", "user", "What is 6 x 7?", create_time=1700000000.5),
        "t": thinking("q", {"summary": "Multiplying", "content": "6 x 7"}),
        "recap": node("t", "assistant", content={"content_type": "reasoning_recap", "content": "Thought for 2 s"}),
        "call": node("recap", "assistant", "print(42)", recipient="python"),
        "tool": node("call", "tool", "42"),
        "a": node("tool", "assistant", "42", metadata={"model_slug": "o1"}),
        "a2": node("q", "assistant", "forty-two", {"content_type": "image_asset_pointer"}),
        "q2": node("a", "user", "Sure?"),
    }
    conversation = {
        "title": "Six",
        "create_time": 1.7e9,
        "update_time": 1.8e9,
        "mapping": mapping,
        "current_node": "a2",
    }
    tree = read(json.dumps([conversation]).encode())[0]
    by_text = {message.content: message for message in tree.messages}
    assert list(by_text) == ["What is 6 x 7?", "forty-two\n\n[image]", "42", "Sure?"]
    assert by_text["42"].reasoning == "Multiplying\n\n6 x 7" and by_text["42"].model == "o1"
    assert by_text["Sure?"].parent == by_text["42"].id
    assert [message.content for message in shown_path(tree)] == ["What is 6 x 7?", "forty-two\n\n[image]"]
    assert (tree.conversation.title, tree.conversation.created, tree.conversation.updated) == ("Six", 1.7e9, 1.8e9)
    assert {message.origin for message in tree.messages} == {"import"}


def test_open_webuis_chats_come_with_their_thoughts_quoted_or_escaped() -> None:
    old = '<details type="reasoning" done="true" duration="12">\n<summary>Thought for 12 seconds</summary>\n'
    messages = {
        "q": {"id": "q", "parentId": None, "role": "user", "content": "hi", "timestamp": 1700000000},
        "a": {"parentId": "q", "role": "assistant", "content": f"{old}> if a < b\n> \n> then\n</details>\nHello"},
        "b": {
            "parentId": "q",
            "role": "assistant",
            "content": f"{old}&gt; if a &lt; b\n</details>\nHey",
            "model": "r1",
        },
    }
    chat = {"title": "Greeting", "history": {"messages": messages, "currentId": "b"}}
    tree = read(json.dumps([{"id": "1", "title": "Greeting", "chat": chat, "created_at": 1700000000}]).encode())[0]
    _, a, b = tree.messages
    assert (a.reasoning, a.content, a.thinking_s) == ("if a < b\n\nthen", "Hello", 12)
    assert (b.reasoning, b.content) == ("if a < b", "Hey")
    assert tree.conversation.head == b.id


def test_a_title_that_is_missing_is_the_first_line_asked() -> None:
    tree = read(
        b'{"messages": [{"role": "user", "content": "\\n  Why?  \\nMore"}, {"role": "assistant", "content": "x"}]}'
    )
    assert tree[0].conversation.title == "Why?"


OURS = '{"format": "r1chat-conversations", "version": 1, "conversations": [%s]}'
MESSAGE = '{"id": "m", "conversation": "c", "parent": null, "role": "user"%s}'


def ours(message: str = "", conversation: str = "", extra: str = "") -> str:
    return OURS % (f'{{"conversation": {{"id": "c"{conversation}}}, "messages": [{MESSAGE % message}{extra}]}}')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b"PK\x03\x04rest", "unpack"),
        ("nonsense", "at line 1, column"),
        ('{"a":\n  1,}', "line 2, column 5"),
        ("[" * 100_000 + "]" * 100_000, "too deeply"),
        ("[1]", "Entry 1 is no conversation"),
        ('{"messages": 3}', "Entry 1 is no conversation"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n{"messages": ', "Line 2: "),
        ('{"messages": []}\n{"rows": []}', "Line 2: no `messages`"),
        ('{"messages": []}\n\n{"messages": [{"role": "judge"}]}', "Line 3, message 1: 'judge'"),
        ('{"messages": [{"role": "user", "content": 3}]}', "message 1: the content is no text"),
        ('{"messages": ["hi"]}', "message 1: not an object"),
        ('[{"mapping": []}]', "Entry 1: `mapping`"),
        ('[{"mapping": {"a": {"parent": "b"}, "b": {"parent": "a"}}}]', "hangs on itself"),
        ('[{"chat": {"history": {}}}]', "Entry 1: `chat.history.messages`"),
        (OURS.replace(" 1", " 2") % "", "version 2; this r1chat reads version 1"),
        (OURS % "3", "Conversation 1: Expected `object`"),
        (ours(', "role": "judge"'), "Conversation 1, messages[0].role: Invalid enum value 'judge'"),
        (ours(', "content": 3'), "messages[0].content: Expected `str`"),
        (ours(conversation=', "head": "x"'), "Conversation 1: head 'x'"),
        (ours(extra=", " + MESSAGE % ""), "same id"),
        (ours(extra=', {"id": "n", "conversation": "c", "parent": "n", "role": "user"}'), "'n' hangs on none"),
        (ours(', "group": "g"'), "a group that is not there"),
        (ours(', "reasoning_tokens": -1'), "a count that cannot be"),
        (ours(', "created": 1e300'), "a time in it cannot be"),
        (ours(conversation=', "settings": {"temperature": 9}'), "temperature must be from 0 to 2"),
        (ours(conversation=', "settings": {"color": 9}'), "settings: Object contains unknown field `color`"),
    ],
)
def test_a_bad_file_is_refused_with_one_line_that_says_where(data: str | bytes, said: str) -> None:
    assert said in refusal(data)


def test_a_file_of_any_bytes_is_read_or_refused() -> None:
    """Fragments of good files in any order raise nothing but the refusal."""
    good = written("json", linear("q", "a")) + written("messages", linear("q", "a")) + "[{}]"

    @given(st.lists(st.sampled_from([good[n : n + 9] for n in range(0, len(good), 9)]), max_size=40).map("".join))
    def check(text: str) -> None:
        try:
            read(text.encode())
        except InvalidRequestError as error:
            assert "\n" not in str(error)

    check()


def test_branches_that_repeat_a_long_run_without_end_are_refused() -> None:
    """A run of n replies before n branches would be n x n texts."""
    mapping: dict[str, Any] = {"q": node(None, "user", "q")}
    above = "q"
    for n in range(450):
        mapping[f"a{n}"] = node(above, "assistant", "x" * 1500)
        mapping[f"u{n}"] = node(f"a{n}", "user", "more")
        above = f"a{n}"
    assert "repeat more text" in refusal(json.dumps([{"mapping": mapping}]))


@pytest.mark.parametrize(
    "title", ["", "../../etc/passwd", 'a"b\r\nSet-Cookie: x', "\u202etxt.exe", "CON", "x" * 500, "日本"]
)
def test_a_file_name_is_plain_whatever_the_title(title: str) -> None:
    name = file_name(title, FORMATS["md"])
    assert name.removesuffix(".md").replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert len(name) < 80 and not name.startswith((".", "-")) and name.isascii()


def test_a_system_prompt_too_long_for_a_chat_is_refused_with_its_file_and_not_with_the_next_export() -> None:
    said = [{"role": "system", "content": "x" * 100_001}, {"role": "user", "content": "q"}]
    row = {"messages": [*said, {"role": "assistant", "content": "a"}]}
    with pytest.raises(InvalidRequestError, match="system prompt"):
        read(json.dumps(row).encode())
