"""From a chat into the distil set: over HTTP before a scripted engine, and in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from r1chat.distill.sources.traces import load_traces

from .conftest import LABEL, PageServer, Visit, scripted
from .person import Person

THOUGHT = "I look at it first, and then I add seven and five, which together make twelve, and that is all there is."
SCRIPTS = {
    "ADD": f"{THOUGHT}\n</think>\n\nIt is \\boxed{{12}}.",
    "CIRCLE": "Wait, let me look at that once more. " * 40 + "\n</think>\n\nIt is \\boxed{12}.",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    config = scripted({"scripts": SCRIPTS, "n_ctx": 4096})
    with PageServer(config, LABEL, tmp_path_factory.mktemp("data"), api_keys=("one", "two")) as running:
        yield running


@pytest.fixture
def person(page: PageServer) -> Person:
    return Person(page.url, "one")


def star(person: Person, text: str, **settings: Any) -> dict[str, Any]:
    """A turn that was asked, answered and starred."""
    _, reply = person.answered(text, settings=settings)
    starred: dict[str, Any] = person.post("/stars", message=reply["id"], agree=True)["star"]
    return starred


def failed(starred: dict[str, Any]) -> list[str]:
    return [gate["reason"] for gate in starred["gates"] if gate["state"] == "failed"]


@pytest.mark.slow
def test_the_gates_refuse_what_is_unclosed_looped_or_unverified(person: Person, tmp_path: Path) -> None:
    cut = star(person, "ADD 5 to 7, cut", max_tokens=16)
    ended = star(person, "ADD 5 to 7, soon", thinking="budget", budget=16)
    looped = star(person, "CIRCLE 5 and 7")
    unverified = star(person, "ADD 5 to 7, please")
    assert [each["state"] for each in (cut, ended, looped, unverified)] == ["refused"] * 3 + ["waiting"]
    assert failed(cut)[0].startswith("thought_")
    assert failed(ended) == ["thought_budget"]
    assert set(failed(looped)) & {"thought_loop", "repeated_words"}
    assert person.http.get("/stars/export").text == ""

    wrong = person.patch(f"/stars/{unverified['id']}", gold="13")["star"]
    assert (wrong["state"], failed(wrong)) == ("refused", ["against_gold"])
    right = person.patch(f"/stars/{unverified['id']}", gold="12")["star"]
    assert right["state"] == "accepted"
    file = tmp_path / "set.jsonl"
    answer = person.http.get("/stars/export")
    assert "attachment" in answer.headers["content-disposition"]
    file.write_bytes(answer.content)
    (row,) = load_traces(str(file))
    assert (row.problem.prompt, row.problem.gold, row.reasoning) == ("ADD 5 to 7, please", "12", THOUGHT)
    counts = person.get("/stars")["counts"]
    assert counts == {"accepted": 1, "waiting": 0, "refused": 3}


def test_a_chat_asks_once_whether_it_may_collect(person: Person) -> None:
    conversation, reply = person.answered("ADD asked")
    assert person.post("/stars", message=reply["id"]) == {"star": None, "asks": True}
    assert person.post("/stars", message=reply["id"], agree=True)["star"]["source"]["message"] == reply["id"]
    assert person.get(f"/conversations/{conversation}")["conversation"]["collects"]
    _, second = person.answered("ADD again", conversation)
    assert person.post("/stars", message=second["id"])["star"] is not None
    marks = person.get(f"/stars/marks?conversation={conversation}")["marks"]
    states = {message: mark["state"] for message, mark in marks.items()}
    assert states == {reply["id"]: "waiting", second["id"]: "waiting"}


def test_a_star_is_its_owners_alone(page: PageServer, person: Person) -> None:
    mine = star(person, "ADD mine")
    other = Person(page.url, "two")
    assert other.get("/stars")["total"] == 0
    assert other.http.get("/stars/export").text == ""
    other.get(f"/stars/{mine['id']}", status=404)
    other.patch(f"/stars/{mine['id']}", status=404, checked=True)
    other.delete(f"/stars/{mine['id']}", status=404)
    other.post("/stars", status=404, message=mine["source"]["message"], agree=True)
    assert "owner" not in mine


def test_bad_input_is_told_in_one_line(person: Person) -> None:
    mine = star(person, "ADD bad input")
    for status, answer in [
        (404, person.post("/stars", status=404, message="none")),
        (400, person.post("/stars", status=400, message=7)),
        (400, person.post("/stars", status=400)),
        (400, person.patch(f"/stars/{mine['id']}", status=400, owner="me")),
        (400, person.patch(f"/stars/{mine['id']}", status=400, checked="yes")),
        (400, person.patch(f"/stars/{mine['id']}", status=400, gold="x" * 3000)),
        (400, person.get("/stars?state=nice", status=400)),
        (400, person.get("/stars?n=100000", status=400)),
        (400, person.get("/stars/export?format=exe", status=400)),
        (404, person.delete("/stars/none", status=404)),
    ]:
        assert answer["error"]["message"], status


def test_hostile_text_in_the_review_is_text(person: Person) -> None:
    mine = star(person, "ADD hostile")
    told = person.patch(f"/stars/{mine['id']}", answer="<img src=x onerror=alert(1)> \\boxed{12}")["star"]
    assert "<img" not in told["html"]
    assert "&lt;img" in told["html"]


@pytest.mark.slow
def test_a_turn_is_starred_checked_edited_and_kept_in_the_browser(visit: Visit) -> None:
    tab = visit.tab
    visit.ask("PLAIN words, then stop")
    visit.wait("done")
    tab.click(".turn:last-child .star")
    tab.click(".dialog .primary")  # it may collect
    tab.wait_for_selector(".dialog .gates")
    assert "Nobody has checked its answer yet." in tab.inner_text(".dialog .gates")
    tab.click(".dialog .primary")  # I checked it
    tab.wait_for_selector(".turn:last-child .star[data-state=accepted]")
    visit.json(f"/page/conversations/{visit.conversation}")
    tab.context.request.delete(f"{visit.url}/page/conversations/{visit.conversation}", headers={"Origin": visit.url})

    tab.click("#room-stars-button")
    tab.click("#stars .row")
    assert tab.inner_text(".review .question") == "PLAIN words, then stop"
    tab.click(".part[data-part=answer] button")
    tab.fill(".part[data-part=answer] textarea", "It is done, and <b>well</b>.")
    tab.click(".part[data-part=answer] .primary")
    tab.wait_for_selector(".part[data-part=answer] .diff")
    assert tab.inner_text(".diff ins").split()[0] == "It"
    assert tab.inner_text(".review .answer") == "It is done, and <b>well</b>."
    # what was edited is to be looked at again
    assert tab.inner_text(".review .badge") == "Waiting for a check"
    tab.check(".review .tick input")
    tab.wait_for_selector(".review .badge[data-state=accepted]")

    tab.wait_for_selector("#stars header .primary:not([disabled])")  # by then it knows of one that is accepted
    tab.click("#export-stars")
    with tab.expect_download() as download:
        tab.click(".dialog .formats a")
    rows = [json.loads(line) for line in Path(download.value.path()).read_text(encoding="utf-8").splitlines()]
    assert [row["problem"]["prompt"] for row in rows] == ["PLAIN words, then stop"]
    assert rows[0]["params"]["edited"] == ["answer"]
    tab.keyboard.press("Escape")
    tab.click(".review .danger")
    tab.click(".dialog .danger")
    tab.wait_for_function("document.querySelectorAll('#stars .row').length === 0")


def test_a_save_that_takes_long_is_that_of_its_star_and_what_is_being_typed_stays(visit: Visit) -> None:
    tab = visit.tab
    request = tab.context.request
    ids = []
    for question in ("PLAIN first", "PLAIN second"):
        visit.new_chat()
        visit.ask(question)
        visit.wait("done")
        messages = visit.json(f"/page/conversations/{visit.conversation}")["path"]
        told = request.post(f"{visit.url}/page/stars", data={"message": messages[-1]["id"], "agree": True}).json()
        ids.append(told["star"]["id"])
    held: list[Any] = []
    tab.route(f"**/page/stars/{ids[0]}", lambda route: _hold(route, held))
    tab.click("#room-stars-button")
    tab.click("#stars .row >> text=PLAIN first")
    tab.wait_for_selector(".review .question >> text=PLAIN first")
    tab.check(".review .tick input")
    visit.until(lambda: held)
    tab.click("#stars .row >> text=PLAIN second")
    tab.wait_for_selector(".review .question >> text=PLAIN second")
    for part in ("question", "thought"):
        tab.click(f".part[data-part={part}] button")
        tab.fill(f".part[data-part={part}] textarea", f"my {part}")
    held.pop().continue_()
    visit.until(lambda: request.get(f"{visit.url}/page/stars/{ids[0]}").json()["star"]["checked"])
    tab.wait_for_timeout(300)
    assert tab.input_value(".part[data-part=question] textarea") == "my question"
    tab.click(".part[data-part=question] .primary")
    tab.wait_for_selector(".part[data-part=question] .diff")
    assert tab.input_value(".part[data-part=thought] textarea") == "my thought"
    stars = [request.get(f"{visit.url}/page/stars/{each}").json()["star"] for each in ids]
    assert [each["turn"]["question"] for each in stars] == ["PLAIN first", "my question"]
    tab.unroute(f"**/page/stars/{ids[0]}")
    take_out(visit)


def test_a_tick_that_could_not_be_saved_is_none(visit: Visit) -> None:
    tab = visit.tab
    visit.ask("PLAIN tick")
    visit.wait("done")
    reply = visit.json(f"/page/conversations/{visit.conversation}")["path"][-1]
    tab.context.request.post(f"{visit.url}/page/stars", data={"message": reply["id"], "agree": True})
    tab.click("#room-stars-button")
    tab.click("#stars .row >> text=PLAIN tick")
    tick = tab.locator(".review .tick input").first
    tab.route("**/page/stars/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    tick.click()
    tab.wait_for_selector(".review p.alarm:not(:empty)")
    assert not tick.is_checked()
    tab.unroute("**/page/stars/*")
    visit.take_complaints()
    take_out(visit)


def test_what_is_drawn_anew_keeps_the_focus_and_the_answer_that_is_being_typed(visit: Visit) -> None:
    tab = visit.tab
    visit.ask("PLAIN focus")
    visit.wait("done")
    tab.focus(".turn:last-child .star")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".dialog .primary")
    tab.keyboard.press("Enter")  # it may collect
    tab.wait_for_selector(".dialog .gates")
    tab.keyboard.press("Escape")
    tab.wait_for_selector(".dialog", state="detached")
    assert tab.evaluate("document.activeElement.matches('.star')")
    tab.click("#room-stars-button")
    tab.click("#stars .row >> text=PLAIN focus")
    tab.fill("#known-answer", "don")
    tab.focus(".review .tick input")
    tab.keyboard.press("Space")
    tab.wait_for_selector(".review .badge[data-state=accepted]")
    assert tab.evaluate("document.activeElement.matches('.review .tick input')")
    assert tab.input_value("#known-answer") == "don"
    tab.click(".part[data-part=question] button")
    tab.keyboard.type("My ")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".part[data-part=question] .diff")
    assert tab.evaluate("document.activeElement.matches('.part[data-part=question] h3 button')")
    tab.evaluate(NOTE_FOUND)
    tab.click(".review >> text=Open the chat")
    tab.wait_for_function("window.wasFound")
    take_out(visit)


def test_what_is_typed_of_a_star_outlives_another_one_and_a_reload(visit: Visit) -> None:
    tab = visit.tab
    for question in ("PLAIN first", "PLAIN second"):
        visit.new_chat()
        visit.ask(question)
        visit.wait("done")
        reply = visit.json(f"/page/conversations/{visit.conversation}")["path"][-1]
        tab.context.request.post(f"{visit.url}/page/stars", data={"message": reply["id"], "agree": True})
    first, second = (f"#stars .row >> text={name}" for name in ("PLAIN first", "PLAIN second"))
    thought = tab.locator(".part[data-part=thought] textarea")
    tab.click("#room-stars-button")
    tab.click(first)
    tab.wait_for_selector(".review .question >> text=PLAIN first")
    tab.click(".part[data-part=thought] button")
    thought.fill("my thought")
    tab.fill("#known-answer", "d")
    for leave in (lambda: tab.click(second), visit.reload):
        leave()
        if leave == visit.reload:
            tab.click("#room-stars-button")
        else:
            tab.wait_for_selector(".review .question >> text=PLAIN second")
            assert thought.count() == 0 and tab.input_value("#known-answer") == ""
        tab.click(first)
        expect(thought).to_have_value("my thought")
        expect(tab.locator("#known-answer")).to_have_value("d")
    tab.click(".part[data-part=thought] >> text=Cancel")
    tab.click(second)
    tab.wait_for_selector(".review .question >> text=PLAIN second")
    tab.click(first)
    tab.wait_for_selector(".review .question >> text=PLAIN first")
    assert thought.count() == 0
    take_out(visit)


# Where a star came from is shown for a moment only.
NOTE_FOUND = """() => {
    const look = () => { window.wasFound ||= document.querySelector('.turn .found') !== null; };
    const watched = { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] };
    new MutationObserver(look).observe(document.body, watched);
}"""


def take_out(visit: Visit) -> None:
    """Leaves no star to the tests behind: with an accepted one a run can be begun."""
    for each in visit.json("/page/stars")["stars"]:
        visit.tab.context.request.delete(f"{visit.url}/page/stars/{each['id']}", headers={"Origin": visit.url})


def _hold(route: Any, held: list[Any]) -> None:
    if route.request.method == "PATCH":
        held.append(route)
    else:
        route.continue_()
