"""Replies asked together, over HTTP: votes with ties and silence, gold answers, two models, stopping, coming back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.conversations.store import ConversationStore
from r1chat.app.folders import CONVERSATIONS
from r1chat.app.jobs.verdicts import Verdicts

from .conftest import LABEL, PageServer, scripted
from .person import Person, Screen


def script(thought: str, answer: str) -> str:
    return f"{thought}\n</think>\n\n{answer}"


# As long as it takes the others to come as far, though the machine may hold them up.
BESIDE = " ".join(f"beside {n}" for n in range(60))
LONG = script("I go on " + " ".join(f"and on {n}" for n in range(2500)), "\\boxed{1}")
SCRIPTS = {
    # by index: 24, 36, 36 written otherwise, none, 36 at length
    "VOTES": [
        script("Six fours.", "It is \\boxed{24}."),
        script("Six sixes.", "It is \\boxed{36}."),
        script("Half of 72." + " Yes." * 20, "It is \\boxed{36.0}."),
        script("Who knows." * 30, "I cannot say."),
        script("Once more, " + "slowly, " * 90, "It is \\boxed{36}."),
    ],
    # undecided until the last two are told to end
    "LATE": [
        script("Six fours.", "It is \\boxed{24}."),
        *[script("Six sixes.", "It is \\boxed{36}.") for _ in range(2)],
        *[LONG for _ in range(2)],
    ],
    "TIE": [script("a", "\\boxed{2}"), script("b", "\\boxed{3}"), script("c", "\\boxed{3}"), script("d", "\\boxed{2}")],
    "SILENT": [script("a", "No."), script("b", "No idea.")],
    "EARLY": [*[script(f"short {n} {BESIDE}", "\\boxed{7}") for n in range(3)], LONG, LONG],
    "FORMULA": [script("a", "\\boxed{x+1}"), script("b", "\\boxed{1+x}"), LONG],
    "DIFFER": [
        script("a", "\\boxed{2}"),
        script("b", "\\boxed{3}"),
        script("I go on " + " ".join(f"and on {n}" for n in range(400)), "\\boxed{1}"),
    ],
    "SAME": [script("a", "\\boxed{x+1}"), script("b", "\\boxed{x+1}")],
    "LONG": LONG,
    "BREAK": f"I begin to think {BESIDE} CRASH never comes",
}
STUDENT = {"SHEEP": script("Nine.", "\\boxed{9}"), "SUM": script("I guess.", "\\boxed{8}")}
TEACHER = {
    "SHEEP": script("All but nine, so nine stay.", "\\boxed{9.0}"),
    "SUM": script("Three and four.", "\\boxed{7}"),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    runner_args = {"scripts": SCRIPTS | TEACHER, "tokens_per_s": 300}
    student = scripted({"scripts": STUDENT, "tokens_per_s": 300})
    with PageServer(
        scripted(runner_args), LABEL, tmp_path_factory.mktemp("data"), more={"student": student}
    ) as running:
        yield running


@pytest.fixture
def person(page: PageServer) -> Person:
    return Person(page.url)


def ask(person: Person, text: str, n: int = 5, **more: Any) -> dict[str, Any]:
    body = {"conversation": None, "text": text, "n": n, "settings": {"seed": 0}, **more}
    asked: dict[str, Any] = person.post("/many", **body)
    return asked


def ended(person: Person, asked: dict[str, Any]) -> dict[str, Any]:
    """The group when all of its replies have ended and are judged; its `replies` in their order."""
    deadline = time.monotonic() + 60
    while True:
        group: dict[str, Any] = opened(person, asked)["groups"][asked["group"]["id"]]
        if group["report"].get("over"):
            return group
        assert time.monotonic() < deadline, group
        time.sleep(0.05)


def opened(person: Person, asked: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = person.get(f"/conversations/{asked['conversation']['id']}")
    return shown


def in_order(group: dict[str, Any], what: str) -> list[Any]:
    return [group["report"][what].get(reply["id"]) for reply in group["replies"]]


def test_thoughts_are_siblings_that_vote(person: Person) -> None:
    asked = ask(person, "VOTES please")
    assert [reply["state"] for reply in asked["replies"]] == ["live"] * 5
    assert {reply["parent"] for reply in asked["replies"]} == {asked["question"]["id"]}
    assert all(reply["group"] == asked["group"]["id"] for reply in asked["replies"])
    group = ended(person, asked)
    report = group["report"]
    assert (report["answer"], report["votes"], report["n"]) == ("36", 3, 5)
    assert [(option["answer"], option["votes"]) for option in report["tally"]] == [("36", 3), ("24", 1)]
    assert report["replies"] == [reply["id"] for reply in group["replies"]] == [r["id"] for r in asked["replies"]]
    first = person.message(group["replies"][1]["id"])
    assert (first["reasoning"], first["content"], first["state"]) == ("Six sixes.", "It is \\boxed{36}.", "done")
    assert first["reasoning_tokens"] == 2 and first["reasoning_end"] == "natural" and first["finish_reason"] == "stop"
    assert [reply["choice"] for reply in group["replies"]] == [0, 1, 2, 3, 4]
    assert opened(person, asked)["path"][-1]["id"] == first["id"]


def test_of_a_tie_the_first_wins_and_is_where_the_conversation_goes_on(person: Person) -> None:
    group = ended(person, asked := ask(person, "TIE please", 4))
    assert (group["report"]["answer"], group["report"]["votes"]) == ("2", 2)
    assert opened(person, asked)["path"][-1]["choice"] == 0


def test_where_nobody_answers_there_is_no_majority(person: Person) -> None:
    group = ended(person, ask(person, "SILENT please", 2, gold="4"))
    assert (group["report"]["answer"], group["report"]["votes"], group["report"]["tally"]) == (None, 0, [])
    assert in_order(group, "marks") == ["none", "none"]


def test_what_can_change_nothing_is_stopped_and_said_to_be(person: Person) -> None:
    group = ended(person, ask(person, "EARLY please"))
    assert group["report"]["n_stopped"] == 2 and group["report"]["answer"] == "7"
    assert [reply["finish_reason"] for reply in group["replies"]] == ["stop"] * 3 + ["stopped"] * 2
    assert [reply["state"] for reply in group["replies"]] == ["done"] * 3 + ["stopped"] * 2
    assert all(person.message(reply["id"])["reasoning"].startswith("I go on") for reply in group["replies"][3:])
    assert in_order(group, "answers") == ["7"] * 3 + [None, None]


def test_a_gold_answer_marks_each_reply_and_may_be_changed_later(person: Person) -> None:
    asked = ask(person, "VOTES please", gold=" 36 ")
    group = ended(person, asked)
    assert in_order(group, "marks") == ["wrong", "right", "right", "none", "right"]
    again = person.patch(f"/groups/{group['id']}", gold="\\boxed{24}")["group"]
    assert [again["report"]["marks"][reply["id"]] for reply in group["replies"]][:2] == ["right", "wrong"]
    assert opened(person, asked)["groups"][group["id"]]["gold"] == "\\boxed{24}", "it is kept"
    assert person.patch(f"/groups/{group['id']}", gold="")["group"]["report"]["marks"] == {}


def test_marks_are_those_of_the_answer_that_was_told_last(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    of = Verdicts.of
    has_begun, is_told = threading.Event(), threading.Event()

    async def slow(verdicts: Verdicts, texts: dict[str, str], gold: str) -> dict[str, Any]:
        if gold == "24":
            has_begun.set()
            assert await asyncio.to_thread(is_told.wait, 30)
        return await of(verdicts, texts, gold)

    group = ended(person, ask(person, "VOTES please", gold="36"))
    monkeypatch.setattr(Verdicts, "of", slow)
    with ThreadPoolExecutor(1) as other:
        wrong = other.submit(person.patch, f"/groups/{group['id']}", gold="24")
        assert has_begun.wait(30)
        right = person.patch(f"/groups/{group['id']}", gold="36")["group"]
        is_told.set()
        late = wrong.result()["group"]
    assert late["gold"] == right["gold"] == "36"
    assert late["report"]["marks"] == right["report"]["marks"] == group["report"]["marks"]


def test_marks_that_are_written_late_are_not_those_that_stay(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    update = ConversationStore.update_group
    has_begun, is_told = threading.Event(), threading.Event()

    def slow(store: ConversationStore, group_id: str, **changes: Any) -> Any:
        if "report" in changes and not has_begun.is_set():
            has_begun.set()
            assert is_told.wait(30)
        return update(store, group_id, **changes)

    group = ended(person, ask(person, "VOTES please", gold="36"))
    monkeypatch.setattr(ConversationStore, "update_group", slow)
    with ThreadPoolExecutor(1) as other:
        wrong = other.submit(person.patch, f"/groups/{group['id']}", gold="24")
        assert has_begun.wait(30)
        person.patch(f"/groups/{group['id']}", gold="36")
        is_told.set()
        late = wrong.result()["group"]
    assert (late["gold"], late["report"]["marks"]) == ("36", group["report"]["marks"])


def test_a_formula_is_compared_as_mathematics(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    # The judge's child gives way to all others: on a busy machine it takes its time.
    monkeypatch.setattr("r1chat.serve.answers.math_judge._LONGEST_S", 60.0)
    group = ended(person, ask(person, "FORMULA please", 3, gold="1 + x"))
    assert in_order(group, "marks") == ["right", "right", None] and group["report"]["votes"] == 2


@pytest.mark.slow
def test_a_gold_answer_that_is_no_answer_hangs_nothing(person: Person) -> None:
    asked = ask(person, "SAME please", 2, gold="9^{9^{9^{9^9}}}")
    assert person.get("/state")["n_live"] >= 0
    assert in_order(ended(person, asked), "marks")[0] == "wrong"


def test_two_models_answer_the_same_prompt(person: Person) -> None:
    asked = ask(person, "SHEEP please", models=["demo", "student"], gold="9")
    assert [reply["model"] for reply in asked["replies"]] == ["demo", "student"]
    group = ended(person, asked)
    assert group["kind"] == "compare" and group["report"]["agree"] is True
    assert in_order(group, "marks") == ["right", "right"]
    teacher, student = group["replies"]
    assert person.message(teacher["id"])["reasoning"].startswith("All but") and student["content"] == "\\boxed{9}"
    assert teacher["reasoning_tokens"] > student["reasoning_tokens"] > 0
    unequal = ended(person, ask(person, "SUM please", models=["demo", "student"], gold="7"))
    assert unequal["report"]["agree"] is False and in_order(unequal, "marks") == ["right", "wrong"]


def test_a_model_that_is_not_there_fails_alone(person: Person) -> None:
    group = ended(person, ask(person, "SHEEP please", models=["demo", "nobody"]))
    assert [reply["state"] for reply in group["replies"]] == ["done", "failed"]
    assert "nobody" in group["replies"][1]["error"] and group["report"]["agree"] is None


def test_all_come_through_the_conversation_s_events_side_by_side(person: Person) -> None:
    asked = ask(person, "LATE please")
    screens = {reply["id"]: Screen(reply["id"]) for reply in asked["replies"]}
    groups = []
    is_told = False
    with person.watching(asked["conversation"]["id"]) as events:
        for event in events:
            if event["type"] == "open":
                groups.append(event["groups"][asked["group"]["id"]])
                for reply in groups[-1]["replies"]:
                    screens[reply["id"]]._whole([reply])
            groups += [event["group"]] if event["type"] == "group" else []
            for screen in screens.values():
                if event["type"] != "open":
                    screen.show(event)
            if groups[-1]["report"].get("over"):
                break
            if groups[-1]["report"].get("n_finished") == 3 and not is_told:
                is_told = person.control(asked["replies"][4]["id"], "answer_now")
    at_first = [reply["state"] for reply in groups[0]["replies"]]
    assert at_first[3:] == ["live"] * 2
    for screen, state in zip(screens.values(), at_first, strict=True):
        # a thought that ended before anybody looked is fetched when it is opened
        assert screen.reasoning == (person.message(screen.reply_id)["reasoning"] if state == "live" else "")
    standings = [group["report"].get("n_finished", 0) for group in groups]
    assert standings == sorted(standings) and 3 in standings and standings[-1] > 3, "the tally is told as it grows"


def test_stop_stops_all_and_keeps_what_there_is(person: Person, page: PageServer) -> None:
    asked = ask(person, "LONG please", 4)
    for reply in asked["replies"]:
        person.until(reply["id"], lambda message: len(message["reasoning"]) > 100)
    assert person.post(f"/groups/{asked['group']['id']}/stop")["success"]
    finals = [person.message(reply["id"]) for reply in asked["replies"]]
    assert [final["state"] for final in finals] == ["stopped"] * 4
    assert all(final["reasoning"].startswith("I go on and on 0") for final in finals)
    deadline = time.monotonic() + 60
    while page.stats()["sequences"]:
        assert time.monotonic() < deadline, "the engine goes on for nobody"
        time.sleep(0.02)
    assert person.post(f"/groups/{asked['group']['id']}/stop")["success"] is False


def test_stopping_one_lets_the_others_go_on(person: Person) -> None:
    asked = ask(person, "VOTES please")
    last = asked["replies"][4]["id"]
    person.until(last, lambda message: message["reasoning"])
    person.control(last, "stop")
    group = ended(person, asked)
    assert [reply["state"] for reply in group["replies"][:4]] == ["done"] * 4
    assert group["report"]["answer"] == "36"


def test_a_reply_that_goes_on_behind_its_group_s_end_is_judged_again(person: Person) -> None:
    asked = ask(person, "DIFFER please", 3, gold="2")
    last = asked["replies"][2]["id"]
    person.until(last, lambda message: message["reasoning"])
    person.control(last, "stop")
    assert in_order(ended(person, asked), "marks") == ["right", "wrong", None]
    person.post(f"/messages/{last}/continue")
    assert "2" in person.ended(last)["html"], "the scripts go by seed, and alone its seed is the first one's"
    deadline = time.monotonic() + 60
    while opened(person, asked)["groups"][asked["group"]["id"]]["report"]["marks"].get(last) != "right":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_budget_cannot_end_the_thoughts_of_a_vote_that_have_not_reached_it(person: Person) -> None:
    asked = ask(person, "LONG", n=2)
    first, second = (reply["id"] for reply in asked["replies"])
    person.until(first, lambda message: message["reasoning"])
    control = f"/messages/{first}/control"
    told = person.post(control, status=400, action="budget", tokens=1)["error"]
    assert "as they were asked" in told["message"] and told["param"] == "tokens"
    assert person.post(control, action="budget", tokens=None)["success"]
    person.post(f"/messages/{second}/control", action="stop")
    person.post(control, action="stop")
    alone = person.post(f"/messages/{first}/continue")["reply"]
    assert alone["state"] == "live"
    assert person.post(control, action="budget", tokens=1)["success"], "gone on with, it is one by itself"
    assert person.ended(first)["reasoning_end"] == "user"


def test_a_vote_goes_on_behind_the_one_that_the_person_chose(person: Person) -> None:
    asked = ask(person, "VOTES please")
    chosen = asked["replies"][2]["id"]
    person.patch(f"/conversations/{asked['conversation']['id']}", head=chosen)
    ended(person, asked)
    path = opened(person, asked)["path"]
    assert path[-1]["id"] == chosen
    _, reply = person.ask("SHEEP next", asked["conversation"]["id"])
    person.ended(reply)
    assert [message["id"] for message in opened(person, asked)["path"]][1] == chosen


def test_an_engine_that_dies_fails_all_of_them(page: PageServer, person: Person) -> None:
    asked = ask(person, "BREAK please", 3)
    finals = [person.ended(reply["id"]) for reply in asked["replies"]]
    assert [final["state"] for final in finals] == ["failed"] * 3 and all(final["error"] for final in finals)
    assert all(final["reasoning"].startswith("I begin") for final in finals)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n": 1}, "n"),
        ({"n": 9}, "n"),
        ({"models": ["demo"]}, "Two different models"),
        ({"models": ["demo", "demo"]}, "Two different models"),
        ({"models": ["a", "b", "c"]}, "models"),
        ({"settings": {"temperature": 0.0}}, "temperature 0"),
        ({"text": "  "}, "empty"),
        ({"gold": "9" * 501}, "gold"),
        ({"conversation": "nobody's"}, "conversation"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_a_line(person: Person, fields: dict[str, Any], words: str) -> None:
    n_before = len(person.get("/conversations")["conversations"])
    answer = person.http.post("/many", json={"conversation": None, "text": "VOTES", "n": 4, **fields})
    assert answer.status_code in (400, 404) and words in answer.json()["error"]["message"], answer.text
    assert len(person.get("/conversations")["conversations"]) == n_before, "nothing is left of it"


def test_groups_of_others_are_not_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    keys = ("one", "two")
    with PageServer(scripted({"scripts": SCRIPTS}), LABEL, tmp_path_factory.mktemp("data"), api_keys=keys) as server:
        mine, other = Person(server.url, "one"), Person(server.url, "two")
        asked = ask(mine, "TIE please", 2)
        other.patch(f"/groups/{asked['group']['id']}", gold="1", status=404)
        other.post(f"/groups/{asked['group']['id']}/stop", status=404)
        ended(mine, asked)


@pytest.mark.slow
def test_what_a_killed_server_could_not_record_of_a_vote_is_recorded_by_the_next(tmp_path: Path) -> None:
    engine = scripted({"scripts": SCRIPTS})
    with PageServer(engine, LABEL, tmp_path) as page:
        person = Person(page.url)
        asked = ask(person, "EARLY please", gold="7")
        whole = ended(person, asked)["report"]
        head = opened(person, asked)["conversation"]["head"]
    store = ConversationStore(tmp_path / CONVERSATIONS)
    left = {name: whole[name] for name in ("n", "replies")}
    store.update_group(asked["group"]["id"], report=left | {"tally": [], "n_finished": 1})
    store.update("", asked["conversation"]["id"], head=asked["replies"][0]["id"])
    store.close()
    with PageServer(engine, LABEL, tmp_path) as page:
        person = Person(page.url)
        assert ended(person, asked)["report"] == whole
        assert opened(person, asked)["conversation"]["head"] == head
