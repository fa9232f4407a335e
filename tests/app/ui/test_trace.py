"""The finished thought in the browser: its steps, the jump to the next check, and going on from a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from r1chat.app.conversations.records import Message

from .conftest import HOSTILE
from .test_page_access import RULES

if TYPE_CHECKING:
    from .conftest import PageServer, Visit

QUESTION = "What is 12 * 13?"
THOUGHT = (
    "I need 12 * 13, and 😀 it is easy.\n\nIt is 12 * 10 = 120 and 12 * 3 = 36. So it is 120 + 36 = 156.\n\n"
    "Let me check that. 156 / 12 is 13.\n\n- one item\n- another\n\nWait, was it 12? Yes, I think it's 对的.\n\n"
    + "It goes on and on.\n\n" * 40
    + "Let me verify it again: 156 / 13 is 12.\n\nSo the answer is 156."
)
# Puts a finished thought on the page that is open, and notes down what is forked from it.
MOUNT = """async ([id, conversation, kept]) => {
    const { FinishedThought } = await import('/page/assets/trace/trace.js');
    window.forks = [];
    const onFork = async (at, text) => {
        window.forks.push([at, text]);
        if (text === 'fail') throw new Error('It cannot go on.');
    };
    const thought = new FinishedThought({ id, conversation, kept_chars: kept }, { onFork });
    const view = document.createElement('div');
    view.className = 'view trial';
    view.append(thought.node);
    const chat = document.querySelector('#chat');
    chat.hidden = true;
    chat.before(view);
    await thought.open();
}"""
UNMOUNT = """() => {
    document.querySelector('.trial').remove();
    document.querySelector('#chat').hidden = false;
}"""


@pytest.fixture
def thought(chat: Visit, server: PageServer) -> Any:
    """Shows a thought in `chat`, kept up to a character of it; returns the id of its conversation."""

    def show(text: str = THOUGHT, kept: int = 0) -> str:
        store = server.services.store
        conversation = store.create("").id
        question = store.add(
            Message(id=f"q{conversation}", conversation=conversation, parent=None, role="user", content=QUESTION)
        )
        reply = Message(
            id=f"r{conversation}",
            conversation=conversation,
            parent=question.id,
            role="assistant",
            content="\\boxed{156}",
            reasoning=text,
            reasoning_tokens=1000,
        )
        store.add(reply)
        chat.tab.evaluate(MOUNT, [reply.id, conversation, kept])
        return conversation

    yield show
    chat.tab.evaluate(UNMOUNT)


def _focused(chat: Visit, property_name: str = "textContent") -> str:
    return str(chat.tab.evaluate(f"document.activeElement.{property_name}"))


def test_steps_are_marked_and_counted_and_one_kind_can_be_shown_alone(chat: Visit, thought: Any) -> None:
    thought()
    assert chat.tab.locator(".step[data-kind=check] .marker").all_text_contents() == ["Check", "Check"]
    assert chat.tab.locator(".step[data-kind=try] .marker").first.text_content() == ""
    chip = chat.tab.get_by_role("button", name="check 2: show only these steps")
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    assert chat.tab.locator(".step:visible").count() == 2
    chip.click()
    assert chat.tab.locator(".step:visible").count() == chat.tab.locator(".step").count() > 40


def test_the_next_check_is_a_key_away_round_and_round(chat: Visit, thought: Any) -> None:
    thought()
    chat.tab.get_by_role("button", name="Next check").click()
    assert _focused(chat).startswith("CheckLet me check that.")
    chat.tab.keyboard.press("c")
    assert _focused(chat).startswith("CheckLet me verify")
    chat.tab.wait_for_function("document.activeElement.getBoundingClientRect().bottom < innerHeight")
    chat.tab.keyboard.press("c")
    assert _focused(chat).startswith("CheckLet me check that.")
    chat.tab.keyboard.press("Shift+C")
    assert _focused(chat).startswith("CheckLet me verify")
    chat.tab.get_by_role("button", name="rethink 1").click()
    chat.tab.get_by_role("button", name="Next check").click()
    assert _focused(chat).startswith("Check")


def test_the_answer_first_reached_is_shown_and_its_budget_set_for_the_chat(chat: Visit, thought: Any) -> None:
    conversation = thought()
    line = chat.tab.locator(".finding").first
    share = round(100 * (THOUGHT.index("156") + 3) / len(THOUGHT))
    assert line.inner_text().startswith(f"Answer first reached at {share} %; a budget of about 150 tokens would do")
    line.get_by_role("button", name="Show").click()
    assert _focused(chat) == "So it is 120 + 36 = 156."
    line.get_by_role("button", name="Set 150 for this chat").click()
    line.get_by_text("This chat now thinks 150 tokens at most.").wait_for()
    settings = chat.json(f"/page/conversations/{conversation}")["conversation"]["settings"]
    assert (settings["thinking"], settings["budget"]) == ("budget", 150)


def test_another_language_is_flagged_with_its_place(chat: Visit, thought: Any) -> None:
    thought()
    line = chat.tab.locator(".finding.mixed")
    assert line.inner_text().startswith("Chinese in 1 place of this English thought")
    line.get_by_role("button").click()
    assert "对的" in _focused(chat)


def test_by_keyboard_alone_a_sentence_is_found_edited_and_gone_on_from(chat: Visit, thought: Any) -> None:
    thought()
    chat.tab.locator(".legend button").last.focus()
    while "sentence" not in _focused(chat, "className"):
        chat.tab.keyboard.press("Tab")
    chat.tab.keyboard.press("ArrowDown")
    chat.tab.keyboard.press("ArrowRight")
    assert _focused(chat) == "So it is 120 + 36 = 156."
    chat.tab.keyboard.press("Enter")
    assert _focused(chat) == "Resample from here"
    chat.tab.keyboard.press("Escape")
    assert _focused(chat) == "So it is 120 + 36 = 156." and chat.tab.locator(".from-here").count() == 0
    chat.tab.keyboard.press("Enter")
    chat.tab.keyboard.press("Tab")
    chat.tab.keyboard.press("Enter")
    assert _focused(chat, "value") == "So it is 120 + 36 = 156."
    assert chat.tab.locator(".sentence.dropped").count() == chat.tab.locator(".sentence").count() - 2
    chat.tab.keyboard.press("Control+A")
    chat.tab.keyboard.type("No: it is 157.")
    chat.tab.keyboard.press("Tab")
    chat.tab.keyboard.press("Enter")
    # Offsets are characters; JavaScript counts the emoji before as two.
    assert chat.tab.evaluate("forks") == [[THOUGHT.index("So it is"), "No: it is 157."]]


def test_a_click_on_a_sentence_or_list_offers_to_resample_from_its_start(chat: Visit, thought: Any) -> None:
    thought()
    chat.tab.click("text=156 / 12 is 13.")
    chat.tab.click("text=another")
    assert chat.tab.locator(".from-here").count() == 1
    chat.tab.click(".do-resample")
    chat.tab.wait_for_selector(".from-here", state="detached")
    assert chat.tab.evaluate("forks") == [[THOUGHT.index("- one item"), ""]]


def test_a_sentence_is_copied_as_it_was_written(chat: Visit, thought: Any) -> None:
    thought("I **think** so, 😀 `x` is 3.\n\nYes.")
    chat.tab.click(".sentence >> nth=0")
    chat.tab.get_by_role("toolbar").get_by_role("button", name="Copy").click()
    chat.tab.get_by_role("button", name="Copied").wait_for()
    assert chat.tab.evaluate("navigator.clipboard.readText()") == "I **think** so, 😀 `x` is 3."


def test_what_cannot_be_forked_says_so_and_keeps_the_text(chat: Visit, thought: Any) -> None:
    thought()
    chat.tab.click("text=156 / 12 is 13.")
    chat.tab.click(".do-edit")
    chat.tab.fill(".rewrite textarea", "fail")
    chat.tab.click(".rewrite .primary")
    chat.tab.get_by_text("It cannot go on.").wait_for()
    assert chat.tab.input_value(".rewrite textarea") == "fail"
    assert chat.tab.is_enabled(".rewrite .primary")


def test_a_rewritten_sentence_outlives_a_stray_click_and_esc_and_goes_with_cancel(chat: Visit, thought: Any) -> None:
    thought()
    sentence = chat.tab.locator("text=156 / 12 is 13.")
    editor = chat.tab.locator(".rewrite textarea")
    sentence.click()
    chat.tab.click(".do-edit")
    editor.fill("156 / 12 is 12.")
    chat.tab.click("text=another")
    assert editor.input_value() == "156 / 12 is 12." and _focused(chat, "value") == "156 / 12 is 12."
    for key, kept in (("Escape", "156 / 12 is 12."), ("Cancel", "156 / 12 is 13.")):
        if key == "Cancel":
            chat.tab.click(".rewrite >> text=Cancel")
        else:
            chat.tab.keyboard.press(key)
        chat.tab.wait_for_selector(".rewrite", state="detached")
        sentence.click()
        chat.tab.click(".do-edit")
        assert editor.input_value() == kept


def test_the_part_that_a_fork_kept_is_marked(chat: Visit, thought: Any) -> None:
    thought(kept=THOUGHT.index("So it is"))
    # No inner texts here: what is out of sight may not be laid out.
    assert chat.tab.locator(".sentence.kept").all_text_contents() == [
        "I need 12 * 13, and 😀 it is easy.",
        "It is 12 * 10 = 120 and 12 * 3 = 36.",
    ]
    assert chat.tab.locator(".sentence.kept + .seam").text_content() == "Kept up to here; the model went on."


def test_hostile_thoughts_run_nothing_and_fetch_nothing(chat: Visit, thought: Any) -> None:
    thought(f"{HOSTILE}\n\nWait, {HOSTILE}")
    assert "<script>window.pwned='script'</script>" in (chat.tab.text_content(".steps") or "")
    chat.tab.click(".sentence >> nth=0", position={"x": 4, "y": 4})
    assert chat.tab.evaluate("window.pwned ?? null") is None
    assert chat.foreign == []


@pytest.mark.slow
def test_axe_finds_nothing_serious_in_a_thought_with_its_editor_open(chat: Visit, thought: Any) -> None:
    thought(THOUGHT.replace("It goes on and on.\n\n", ""), kept=40)
    chat.tab.click("text=156 / 12 is 13.")
    chat.tab.click(".do-edit")
    for scheme in ("light", "dark"):
        chat.tab.evaluate("(dark) => document.body.classList.toggle('dark', dark)", scheme == "dark")
        violations = Axe().run(chat.tab, context=".trial", options=RULES).response["violations"]
        assert [found["id"] for found in violations if found["impact"] in ("serious", "critical")] == [], scheme
    chat.tab.evaluate("document.body.classList.remove('dark')")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_every_width_and_its_targets_can_be_hit(chat: Visit, thought: Any, width: int) -> None:
    chat.tab.set_viewport_size({"width": width, "height": 800})
    thought(
        THOUGHT + "\n\n" + "w" * 400 + "\n\n\\[ " + "x + " * 80 + "y \\]\n\nAnd \\( " + "x + " * 80 + "y \\) is it."
    )
    chat.tab.click("text=156 / 12 is 13.")
    assert chat.tab.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [button.bounding_box() for button in chat.tab.locator(".finished button").all()]
    assert min(min(box["width"], box["height"]) for box in boxes if box) >= 24
    chat.tab.set_viewport_size({"width": 1280, "height": 860})


def test_in_the_chat_an_edited_thought_goes_on_as_another_version(chat: Visit) -> None:
    chat.tab.evaluate("localStorage.setItem('r1chat.trace', 'open')")
    chat.ask("MARKUP")
    chat.wait("done")
    first = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    chat.tab.click(".finished .sentence")
    chat.tab.click(".do-edit")
    chat.tab.fill(".rewrite textarea", "Let me do it another way. ")
    chat.tab.click(".rewrite .primary")
    chat.tab.wait_for_selector(".reply .branches .at >> text=2 / 2")
    chat.wait("done")
    second = chat.json(f"/page/conversations/{chat.conversation}")["path"][-1]
    assert second["id"] != first["id"] and second["origin"] == "fork"
    whole = chat.json(f"/page/messages/{second['id']}")["reasoning"]
    assert whole.startswith("Let me do it another way. ")
    assert second["kept_chars"] == len("Let me do it another way. ")
    assert chat.json(f"/page/messages/{first['id']}")["reasoning"].startswith("Let me write it down.")
