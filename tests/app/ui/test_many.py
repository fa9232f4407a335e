"""Replies side by side in a real browser: asked for at the box, watched while they grow, counted, marked, chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import HIDE, LABEL, PageServer, Visit, scripted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route


def script(n_lines: int, answer: str) -> str:
    return "".join(f"line {n} of it and more\n" for n in range(n_lines)) + f"</think>\n\n{answer}"


SCRIPTS = {
    # by index: 24, 36, 36 written otherwise, none, and 36 at length
    "VOTES": [
        script(2, "It is \\boxed{24}."),
        script(4, "It is \\boxed{36}."),
        script(6, "So **it** is \\boxed{36.0}."),
        script(8, "I cannot say."),
        script(12, "It is \\boxed{36}."),
    ],
    # The same while the last of them thinks until it is told to answer.
    "WATCHED": [
        script(2, "It is \\boxed{24}."),
        script(4, "It is \\boxed{36}."),
        script(6, "So **it** is \\boxed{36.0}."),
        script(8, "I cannot say."),
        script(2500, "It is \\boxed{36}."),
    ],
    "TIE": [script(2, "\\boxed{2}"), script(2, "\\boxed{3}"), script(2, "\\boxed{3}"), script(2, "\\boxed{2}")],
    "SILENT": [script(2, "No."), script(2, "No idea.")],
    "EARLY": [script(2, "\\boxed{7}"), script(2, "\\boxed{7}"), script(900, "\\boxed{1}")],
    "LONG": script(1300, "\\boxed{1}"),
    "SHEEP": script(20, "\\boxed{9}"),
}
STUDENT = {"SHEEP": script(5, "\\boxed{8}"), "LONG": script(900, "\\boxed{1}")}


@pytest.fixture(scope="module")
def tab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """A page with two models whose thoughts come in a known order, for the person asks with a seed."""
    runner_args = {"scripts": SCRIPTS, "tokens_per_s": 100, "n_ctx": 16384}
    student = scripted({"scripts": STUDENT, "tokens_per_s": 100})
    with (
        PageServer(scripted(runner_args), LABEL, tmp_path_factory.mktemp("data"), more={"student": student}) as server,
        browser.new_context(viewport={"width": 1280, "height": 860}) as context,
    ):
        context.request.put(f"{server.url}/page/settings", data={"settings": {"seed": 0}})
        # what is loaded can be chosen
        context.request.post(f"{server.url}/page/shelf/load", data={"model": "student"})
        yield Visit(context.new_page(), server.url)


@pytest.fixture
def many(tab: Visit) -> Iterator[Visit]:
    tab.begin_anew()
    yield tab
    assert tab.take_complaints() == []


def choose(visit: Visit, mode: str, n: int = 5, gold: str = "") -> None:
    """In the panel at the box."""
    visit.tab.click(".ask-many > button")
    if mode == "two":
        # Opening asks which there are.
        visit.tab.wait_for_selector(".ask-many option[value=student]", state="attached")
    visit.tab.check(f".ask-many input[value={mode}]")
    if mode == "vote":
        visit.tab.select_option(".ask-many .option select", str(n))
    if mode != "one":
        visit.tab.fill(".ask-many .right input", gold)
    visit.tab.click(".ask-many .done")


def ask(visit: Visit, text: str, mode: str = "vote", n: int = 5, gold: str = "") -> None:
    choose(visit, mode, n, gold)
    visit.ask(text)
    visit.tab.wait_for_selector(".turn:last-child .many .card")


def let_answer(visit: Visit) -> None:
    """Has the last thought end."""
    name = visit.tab.get_attribute(".many .card:last-child h3", "id") or ""
    route = f"{visit.url}/page/messages/{name.removeprefix('reply-')}/control"
    assert visit.tab.context.request.post(route, data={"action": "answer_now"}).json()["success"]


def over(visit: Visit) -> None:
    """All replies have ended, and what they came to is told."""
    visit.tab.wait_for_function(
        "document.querySelectorAll('.many .card [aria-pressed]:not([hidden])').length"
        " === document.querySelectorAll('.many .card').length"
    )
    visit.tab.wait_for_function(
        "!/have finished|at once|broke off|at work/.test(document.querySelector('.standing').textContent)"
    )


def marks(visit: Visit) -> list[str]:
    return [text.split(" ", 1)[-1] for text in visit.tab.locator(".many .mark").all_inner_texts()]


def bars(visit: Visit) -> list[tuple[str, str, str]]:
    """Answer, share and voters of each bar."""
    rows = visit.tab.locator(".many .bars li")
    return [
        (
            row.locator(".answered").inner_text(),
            row.locator(".share").inner_text(),
            " ".join(row.locator(".voter").all_inner_texts()),
        )
        for row in rows.all()
    ]


def test_the_first_thought_is_chosen_when_the_vote_is_over_and_the_others_at_any_time(many: Visit) -> None:
    ask(many, "WATCHED please")
    second = many.tab.locator(".many .card >> nth=1")
    second.locator("[aria-pressed]").wait_for()
    assert not many.tab.is_visible(".many .card >> nth=0 >> [aria-pressed]")
    let_answer(many)
    over(many)
    assert many.tab.is_visible(".many .card >> nth=0 >> [aria-pressed]")


def test_what_is_typed_into_a_thought_of_a_vote_outlives_a_look_at_another_tab(many: Visit) -> None:
    ask(many, "TIE please", n=4)
    over(many)
    card = many.tab.locator(".many .card >> nth=1")
    card.locator(".fold").click()
    card.locator(".sentence >> nth=0").click()
    card.locator(".do-edit").click()
    card.locator("textarea").fill("mine")
    for away in (True, False):
        many.tab.evaluate(HIDE, away)
    many.tab.wait_for_timeout(500)
    assert card.locator("textarea").input_value() == "mine"


def test_what_went_on_from_a_thought_of_a_vote_is_found_again(many: Visit) -> None:
    ask(many, "TIE please", n=4)
    over(many)
    card = many.tab.locator(".many .card >> nth=1")
    card.locator(".fold").click()
    card.locator(".sentence >> nth=0").click()
    card.locator(".do-resample").click()
    at = many.tab.locator(".turn .branches .at")
    many.tab.wait_for_selector(".turn .reply .branches .at >> text=5 / 5")
    many.wait("done")
    many.tab.click(".reply .branches button >> nth=0")
    many.tab.wait_for_selector(".many .card")
    assert at.inner_text() == "1 / 2"
    many.tab.click(".turn .branches button >> nth=1")
    many.tab.wait_for_selector(".turn .reply .branches .at >> text=5 / 5")


def test_the_end_of_a_vote_is_announced_once_and_when_it_has_come(many: Visit) -> None:
    many.tab.evaluate(
        """() => {
            window.said = [];
            const node = document.querySelector('.pane > .unseen[role=status]');
            new MutationObserver(() => said.push(node.textContent)).observe(node, { childList: true, subtree: true });
        }"""
    )
    ask(many, "WATCHED please")
    many.tab.locator(".many .card >> nth=1 >> [aria-pressed]").wait_for()
    assert not any(text.startswith("Done") for text in many.tab.evaluate("said"))
    let_answer(many)
    over(many)
    said = many.tab.evaluate("said")
    assert said[-1].startswith("Done") and sum(text.startswith("Done") for text in said) == 1
    assert "Thinking" in said


def test_a_thought_of_a_vote_is_starred_where_it_stands(many: Visit) -> None:
    ask(many, "TIE please", n=4)
    over(many)
    many.tab.wait_for_function("document.querySelectorAll('.many .card .star').length === 4")


def test_a_vote_is_asked_for_watched_and_counted(many: Visit) -> None:
    ask(many, "WATCHED please", gold="36")
    assert many.tab.locator(".many .card").count() == 5
    last = many.tab.locator(".many .card >> nth=4")
    last.locator(".tail-end >> text=/line \\d+ of it/").wait_for()
    assert many.tab.locator(".many .tail-end").count() >= 1
    many.tab.wait_for_function("document.querySelectorAll('.many .bars li').length > 0")
    assert "have finished" in many.text(".standing"), "the tally grows while others think"
    let_answer(many)
    over(many)
    assert many.text(".standing") == "3 of 5 say 36: 60 % agree."
    assert bars(many) == [
        ("36", "3 of 5, 60 %", "2 3 5"),
        ("24", "1 of 5, 20 %", "1"),
        ("no answer", "1 of 5, 20 %", "4"),
    ]
    assert many.text(".remarks") == "Minority: 24."
    many.tab.wait_for_function("document.querySelectorAll('.many [data-tone]:not([data-tone=\"\"])').length === 4")
    assert marks(many) == ["wrong", "right", "right", "no answer", "right"]
    assert many.text(".counted") == "3 right, 1 wrong, 1 without an answer"
    assert many.tab.locator(".many .card >> nth=2").locator(".answer strong").inner_text() == "it"
    assert many.tab.input_value(".ask-many .right input") == "", "the next question has another right answer"
    many.tab.click(".many .bars .voter >> text=5")
    assert many.tab.evaluate("document.activeElement.textContent") == "Thought 5", "a bar leads to who is behind it"


def test_a_right_answer_is_named_at_the_button_and_stays_with_its_chat(many: Visit) -> None:
    choose(many, "one")
    many.ask("SHEEP please")
    many.wait("done")
    choose(many, "vote", gold="36")
    assert many.tab.inner_text(".ask-many > button") == "5 thoughts, right answer 36"
    many.new_chat()
    assert many.tab.inner_text(".ask-many > button") == "5 thoughts"
    ask(many, "WATCHED please")
    assert many.tab.input_value(".many .gold input") == ""
    many.tab.keyboard.press("Escape")
    over(many)
    held: list[Route] = []
    many.tab.route("**/page/many", lambda route: held.append(route))
    many.tab.fill("#question", "SHEEP, and then?")
    many.tab.press("#question", "Enter")
    many.until(lambda: held)
    many.new_chat()
    choose(many, "vote", gold="36")
    with many.tab.expect_response(lambda response: "/page/conversations?" in response.url):
        held[0].continue_()  # what it brings is asked for when it was told
    many.tab.unroute("**/page/many")
    assert many.tab.inner_text(".ask-many > button") == "5 thoughts, right answer 36"


def test_without_a_gold_answer_the_vote_marks_them(many: Visit) -> None:
    ask(many, "VOTES please")
    over(many)
    many.tab.locator(".many .mark >> text=minority").wait_for()
    assert marks(many) == ["minority", "majority", "majority", "no answer", "majority"]
    many.tab.fill(".many .gold input", "24")
    many.tab.press(".many .gold input", "Enter")
    many.tab.locator(".many .mark >> text=right").wait_for()
    assert marks(many) == ["right", "wrong", "wrong", "no answer", "wrong"]
    many.tab.click(".many .gold >> text=Take back")
    many.tab.locator(".many .mark >> text=minority").wait_for()


def test_a_tie_is_told_as_one(many: Visit) -> None:
    ask(many, "TIE please", n=4)
    over(many)
    assert many.text(".standing") == "A tie: 2 and 3 have 2 votes each. The earliest thought decides."
    assert marks(many) == ["tied"] * 4 and many.text(".remarks") == ""


def test_silence_is_told_as_such(many: Visit) -> None:
    ask(many, "SILENT please", n=2)
    over(many)
    assert many.text(".standing") == "None of the 2 thoughts gave an answer in \\boxed{}."
    assert bars(many) == [] and marks(many) == ["no answer"] * 2


def test_a_vote_that_is_decided_stops_early_and_says_so(many: Visit) -> None:
    ask(many, "EARLY please", n=3)
    over(many)
    assert many.text(".standing") == "2 of 3 say 7: 67 % agree."
    assert many.text(".remarks") == "Stopped early: the majority could not change, so 1 thought did not have to end."
    many.tab.locator(".many .mark >> text=stopped early").wait_for()


def test_two_models_stand_side_by_side(many: Visit) -> None:
    ask(many, "SHEEP please", "two", gold="9")
    assert many.tab.locator(".many h3").all_inner_texts() == ["demo", "student"]
    over(many)
    many.tab.locator(".many .mark >> text=wrong").wait_for()
    assert marks(many) == ["right", "wrong"]
    said = many.text(".standing")
    assert said.startswith("They differ: 9 and 8. demo thinks "), said
    ratio = re.search(r"demo thinks ([\d.]+) times as long as student", said)
    assert ratio and 3 < float(ratio[1]) < 5


@pytest.mark.slow
def test_eight_grow_within_little_room_and_stop_stops_all(many: Visit) -> None:
    ask(many, "LONG please", n=8)
    many.tab.locator(".many .card >> nth=7").locator(".tail-end >> text=/line ([4-9]\\d|\\d{3}) of/").wait_for()
    sizes = many.tab.evaluate(
        "[...document.querySelectorAll('.many .tail-end')].map((n) => [n.textContent.length, n.clientHeight])"
    )
    assert all(length <= 1500 for length, _ in sizes) and len({height for _, height in sizes}) == 1
    assert many.tab.evaluate("document.querySelectorAll('.many *').length") < 400
    many.tab.keyboard.press("Escape")
    over(many)
    assert marks(many) == ["stopped"] * 8 and many.text(".standing") == "Stopped; 0 of 8 had finished."


@pytest.mark.slow
def test_a_reload_finds_them_where_they_are(many: Visit) -> None:
    ask(many, "WATCHED please", gold="36")
    last = many.tab.locator(".many .card >> nth=4")
    last.locator(".tail-end >> text=/line \\d+ of it/").wait_for()
    many.reload()
    last.locator(".tail-end >> text=/line \\d+ of it/").wait_for()
    assert many.tab.locator(".many .card").count() == 5
    let_answer(many)
    over(many)
    assert many.text(".standing") == "3 of 5 say 36: 60 % agree."
    many.reload()
    many.tab.locator(".many .mark >> text=wrong").wait_for()
    assert marks(many) == ["wrong", "right", "right", "no answer", "right"], "kept"


def test_the_conversation_goes_on_behind_the_chosen_one(many: Visit) -> None:
    ask(many, "VOTES please")
    over(many)
    pressed = many.tab.locator(".many [aria-pressed=true]")
    many.tab.wait_for_function(
        "[...document.querySelectorAll('.many .card')].findIndex((c) => c.querySelector('[aria-pressed=true]')) === 1"
    )
    many.tab.click(".many .card >> nth=2 >> text=Go on with this")
    many.tab.wait_for_function(
        "[...document.querySelectorAll('.many .card')].findIndex((c) => c.querySelector('[aria-pressed=true]')) === 2"
    )
    assert pressed.count() == 1 and pressed.inner_text() == "Goes on from here"
    choose(many, "one")
    many.ask("SHEEP then")
    many.wait("done")
    path: list[dict[str, Any]] = many.json(f"/page/conversations/{many.conversation}")["path"]
    assert [message["choice"] for message in path] == [0, 2, 0, 0]
    assert many.tab.locator(".turn").count() == 2 and many.tab.locator(".many .card").count() == 5


def test_the_answer_of_one_of_several_is_copied(many: Visit) -> None:
    ask(many, "TIE please", n=4)
    over(many)
    many.tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    many.tab.click(".many .card >> nth=1 >> .copy")
    many.until(lambda: many.tab.evaluate("navigator.clipboard.readText()") == "\\boxed{3}")


def test_a_thought_is_read_on_demand(many: Visit) -> None:
    ask(many, "TIE please", n=4)
    over(many)
    card = many.tab.locator(".many .card >> nth=1")
    assert "line 1 of it" not in card.inner_text()
    card.locator(".fold").press("Enter")
    card.locator("text=line 1 of it").first.wait_for()
    assert card.locator(".fold").get_attribute("aria-expanded") == "true"


def test_the_panel_is_a_matter_of_keys_too(many: Visit) -> None:
    choose(many, "vote", 5)
    choose(many, "one")
    many.tab.focus(".ask-many > button")
    many.tab.keyboard.press("Enter")
    assert many.tab.get_attribute(".ask-many > button", "aria-expanded") == "true"
    many.tab.keyboard.press("ArrowDown")
    assert many.tab.inner_text(".ask-many > button") == "5 thoughts"
    many.tab.keyboard.press("Escape")
    assert many.tab.is_hidden(".ask-many .panel")
    assert many.tab.evaluate("document.activeElement.getAttribute('aria-label')") == "Replies: 5 thoughts"


@pytest.mark.parametrize("opener", [".ask-many > button", ".model-picker > button"])
def test_a_press_elsewhere_closes_what_is_open_and_esc_does_so_before_it_stops_a_reply(
    many: Visit, opener: str
) -> None:
    choose(many, "one")
    many.ask("LONG please")
    many.wait("thinking")
    is_open = f"{opener}[aria-expanded=true]"
    many.tab.click(opener)
    many.tab.wait_for_selector(is_open)
    many.tab.click(".turn .question")
    many.tab.wait_for_selector(is_open, state="detached")
    many.tab.click(opener)
    many.tab.evaluate("document.activeElement.blur()")
    many.tab.keyboard.press("Escape")
    many.tab.wait_for_selector(is_open, state="detached")
    assert many.tab.is_visible("#stop"), "the reply goes on"
    many.tab.keyboard.press("Escape")
    many.wait("stopped")


def test_a_budget_that_is_set_beside_a_vote_says_from_when_on_it_holds(many: Visit) -> None:
    ask(many, "LONG please", n=2)
    many.tab.click(".thinking label:has(input[value=budget])")
    many.tab.wait_for_selector("#composer .alarm >> text=from the next question on")
    many.tab.keyboard.press("Escape")
    over(many)
    assert all("400" in complaint for complaint in many.take_complaints())


def test_a_vote_that_broke_off_can_be_asked_again(many: Visit) -> None:
    ask(many, "How many?", n=2)
    over(many)
    assert not many.tab.is_visible(".many > .again"), "all came to their end"
    ask(many, "LONG please", n=2, gold="1")
    many.tab.wait_for_selector("#stop")  # before, Esc has nothing to stop
    many.tab.keyboard.press("Escape")
    many.tab.wait_for_selector(".turn:last-child .many > .again")
    first = many.json(f"/page/conversations/{many.conversation}")["path"]
    many.tab.dblclick(".turn:last-child .many > .again")
    many.tab.wait_for_selector(".turn:last-child .asked .at >> text=2 / 2")
    many.tab.wait_for_selector(".turn:last-child .many .card")
    second = many.json(f"/page/conversations/{many.conversation}")["path"]
    assert [message["content"] for message in second[:3]] == [message["content"] for message in first[:3]]
    assert (many.tab.locator(".turn").count(), many.tab.locator(".turn:last-child .card").count()) == (2, 2)
    assert many.tab.input_value(".turn:last-child .gold input") == "1"
    many.tab.wait_for_selector("#stop")
    many.tab.keyboard.press("Escape")
    over(many)


def test_narrow_they_are_stacked_and_nothing_is_cut_off(many: Visit) -> None:
    many.tab.set_viewport_size({"width": 320, "height": 700})
    many.tab.click(".ask-many > button")
    panel = many.tab.locator(".ask-many .panel").bounding_box()
    assert panel and panel["x"] >= 0 and panel["y"] >= 0 and panel["x"] + panel["width"] <= 320
    many.tab.click(".ask-many .done")
    ask(many, "VOTES please", gold="36")
    over(many)
    lefts = many.tab.evaluate(
        "[...document.querySelectorAll('.many .card')].map((n) => n.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 1
    assert many.tab.evaluate("document.documentElement.scrollWidth") <= 320
    many.tab.set_viewport_size({"width": 1280, "height": 860})
