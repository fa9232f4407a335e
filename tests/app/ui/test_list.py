"""The list of conversations in a browser: by day, found again, changed, brought back, out as files and in again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from r1chat.serve.api.security import MAX_FILE

from .conftest import SCRIPTS, PageServer, Visit, scripted

DAY = 24 * 3600.0
HOSTILE = "<img src=x onerror=window.pwned='title'> ${window.pwned=1} <script>window.pwned=2</script>"


def whole(title: str, *, age: float = 0.0, question: str = "", answer: str = "It is.", **more: Any) -> dict[str, Any]:
    """A conversation of our own file, last used `age` seconds ago; `thought` and `tokens` are its reply's."""
    now = time.time() - age
    message = {"conversation": "c", "created": now}
    thought, tokens = more.pop("thought", ""), more.pop("tokens", 0)
    usage = {"prompt_tokens": 30, "completion_tokens": tokens + 10}
    asked = {"id": "q", "parent": None, "role": "user", "content": question or title}
    reply = {"id": "a", "parent": "q", "role": "assistant", "content": answer, "reasoning": thought}
    return {
        "conversation": {"id": "c", "title": title, "created": now, "updated": now, "head": "a", **more},
        "messages": [message | asked, message | reply | {"reasoning_tokens": tokens, "usage": usage}],
    }


def own_file(*conversations: dict[str, Any]) -> str:
    return json.dumps({"format": "r1chat-conversations", "version": 1, "conversations": conversations})


class ListVisit(Visit):
    """A tab on a page whose conversations a test lays out anew."""

    def lay_out(self, *conversations: dict[str, Any]) -> None:
        request = self.tab.context.request
        for conversation in self.json("/page/conversations?limit=1000")["conversations"]:
            request.delete(f"{self.url}/page/conversations/{conversation['id']}")
        if conversations:
            headers = {"content-type": "application/json"}
            assert request.post(f"{self.url}/page/import", data=own_file(*conversations), headers=headers).ok
        self.tab.evaluate("import('/page/assets/common/bus.js').then((bus) => bus.emit('conversation-changed'))")
        here = [f"?c={each['id']}" for each in self.json("/page/conversations?limit=100")["conversations"]]
        self.tab.wait_for_function(
            """(here) => JSON.stringify([...document.querySelectorAll('nav.list .row > a')]
                .map((link) => link.getAttribute('href'))) === JSON.stringify(here)""",
            arg=here,
        )

    def rows(self, group: str = "section") -> Any:
        return self.tab.locator(f"nav.list {group} .row")

    def row(self, title: str) -> Any:
        return self.tab.locator("nav.list .row").filter(has_text=title)

    def titles(self) -> list[str]:
        found: list[str] = self.tab.locator("nav.list .row .title").all_text_contents()
        return found

    def menu(self, title: str) -> Any:
        """Opens what can be done with a conversation."""
        self.row(title).hover()
        self.row(title).locator(".more").click()
        return self.tab.locator(".popmenu")

    def kept(self, title: str) -> dict[str, Any]:
        """The conversation as the server has it."""
        found = self.json("/page/conversations")["conversations"]
        conversation: dict[str, Any] = next(each for each in found if each["title"] == title)
        return conversation


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    runner_args = {"tokens_per_s": 150, "scripts": SCRIPTS, "n_ctx": 4096}
    with PageServer(scripted(runner_args), "page", tmp_path_factory.mktemp("data")) as running:
        yield running.url


@pytest.fixture(scope="module")
def tab(window: BrowserContext, base: str) -> Iterator[ListVisit]:
    """One for all tests: a load of the page takes longer than most of them."""
    visit = ListVisit(window.new_page(), base)
    visit.tab.set_default_timeout(30_000)
    yield visit


@pytest.fixture
def page(tab: ListVisit) -> Iterator[ListVisit]:
    tab.tab.locator("nav.list input[type=search]").fill("")
    tab.begin_anew()
    yield tab
    assert tab.take_complaints() == []
    assert tab.tab.evaluate("window.pwned") is None


def test_conversations_stand_by_day_with_the_pinned_ones_first(page: ListVisit) -> None:
    page.lay_out(
        whole("old", age=30 * DAY),
        whole("this week", age=4 * DAY),
        whole("one day ago", age=DAY),
        whole("newest"),
        whole("favourite", age=40 * DAY, pinned=True),
    )
    assert page.titles() == ["favourite", "newest", "one day ago", "this week", "old"]
    headings = page.tab.locator("nav.list h2").all_inner_texts()
    assert headings == ["Pinned", "Today", "Yesterday", "Last week", "Older"]


def test_the_shown_conversation_is_marked_and_opened_by_keyboard(page: ListVisit) -> None:
    page.lay_out(whole("first"), whole("second", age=60), whole("third", age=120))
    page.row("first").locator("a").focus()
    page.tab.keyboard.press("ArrowDown")
    page.tab.keyboard.press("Enter")
    expect(page.row("second").locator("a")).to_have_attribute("aria-current", "page")
    expect(page.tab.locator(".question")).to_have_text("second")
    assert page.tab.locator("nav.list [aria-current]").count() == 1
    # One row of the list is a stop for Tab, so that what follows is near.
    stops = "nav.list .row > :is(a, button):not([tabindex='-1'])"
    assert page.tab.locator(stops).count() == 2


def test_a_title_is_changed_in_its_place_and_esc_leaves_it(page: ListVisit) -> None:
    page.lay_out(whole("before"))
    link = page.row("before").locator("a")
    for key, after in (("Escape", "before"), ("Enter", "after all")):
        link.focus()
        page.tab.keyboard.press("F2")
        page.tab.locator("nav.list .row input").fill("after all")
        page.tab.keyboard.press(key)
        expect(page.tab.locator("nav.list .row .title")).to_have_text(after)
    expect(page.row("after all").locator("a")).to_be_focused()
    assert page.kept("after all")


def test_a_title_that_is_being_typed_is_not_taken_when_the_order_changes(page: ListVisit) -> None:
    page.lay_out(whole("above"), whole("before", age=60))
    page.row("before").locator("a").focus()
    page.tab.keyboard.press("F2")
    page.tab.keyboard.type("af")
    path = f"{page.url}/page/conversations/{page.kept('before')['id']}"
    page.tab.context.request.patch(path, data={"pinned": True})
    with page.tab.expect_response("**/page/conversations?*"):
        page.tab.evaluate("import('/page/assets/common/bus.js').then((bus) => bus.emit('conversation-changed'))")
    page.tab.wait_for_timeout(100)
    page.tab.keyboard.type("ter")
    assert page.kept("before")["pinned"]
    page.tab.keyboard.press("Enter")
    expect(page.tab.locator("nav.list .row .title").first).to_have_text("after")


def test_what_was_deleted_comes_back_with_undo(page: ListVisit) -> None:
    page.lay_out(whole("stays"), whole("goes", age=60))
    page.row("goes").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("goes")
    page.row("goes").locator("a").focus()
    page.tab.keyboard.press("Delete")
    expect(page.row("goes")).to_have_count(0)
    expect(page.tab.locator(".welcome")).to_be_visible()
    expect(page.tab.locator(".toast [role=status]")).to_have_text("Deleted “goes”.")
    expect(page.tab.locator(".toast .primary")).to_be_focused()
    page.tab.keyboard.press("Enter")
    expect(page.row("goes").locator("a")).to_have_attribute("aria-current", "page")
    expect(page.tab.locator(".question")).to_have_text("goes")


def test_what_came_back_can_be_deleted_again_also_where_the_list_was_not_read_meanwhile(page: ListVisit) -> None:
    page.lay_out(whole("goes"))
    looks = "**/page/conversations?*"
    page.tab.route(looks, lambda route: route.abort())
    page.row("goes").locator("a").focus()
    page.tab.keyboard.press("Delete")
    page.tab.locator(".toast button.primary").wait_for()
    page.tab.unroute(looks)
    page.take_complaints()
    page.tab.click(".toast button.primary")
    page.until(lambda: page.kept("goes"))
    page.row("goes").locator("a").focus()
    page.tab.keyboard.press("Delete")
    expect(page.rows()).to_have_count(0)
    page.tab.click(".toast button >> text=×")


def test_undo_brings_back_all_that_was_deleted_while_it_was_offered(page: ListVisit) -> None:
    page.lay_out(whole("stays"), whole("first", age=60), whole("second", age=120))
    for title in ("first", "second"):
        page.row(title).locator("a").focus()
        page.tab.keyboard.press("Delete")
        expect(page.row(title)).to_have_count(0)
    expect(page.tab.locator(".toast [role=status]")).to_have_text("Deleted 2 conversations.")
    page.tab.click(".toast .primary")
    expect(page.row("second").locator("a")).to_be_focused()
    assert page.titles() == ["stays", "first", "second"]
    page.row("first").locator("a").focus()
    page.tab.keyboard.press("Delete")
    expect(page.tab.locator(".toast [role=status]")).to_have_text("Deleted “first”.")


def test_the_menu_pins_and_collects_and_esc_closes_it_alone(page: ListVisit) -> None:
    page.lay_out(whole("newer"), whole("older", age=60))
    page.menu("older").get_by_role("button", name="Pin").click()
    expect(page.tab.locator("nav.list .row .title").first).to_have_text("older")
    page.menu("older").get_by_label("Collect for the distil set").check()
    expect(page.row("older").locator(".collects")).to_be_visible()
    page.tab.keyboard.press("Escape")
    expect(page.tab.locator(".popmenu")).to_have_count(0)
    expect(page.row("older").locator(".more")).to_be_focused()
    kept = page.kept("older")
    assert kept["pinned"] and kept["collects"] and not page.kept("newer")["collects"]


def test_what_was_deleted_is_had_back_when_the_toast_has_gone(page: ListVisit) -> None:
    page.lay_out(whole("stays"), whole("leaves", age=60))
    gone = page.tab.locator("nav.list .deleted")
    gone.locator("summary").click()
    page.row("leaves").locator("a").focus()
    page.tab.keyboard.press("Delete")
    expect(gone.locator("li").first).to_contain_text("leaves")
    page.tab.locator(".toast").get_by_role("button", name="Dismiss").click()
    expect(page.rows()).to_have_count(1)
    gone.get_by_role("button", name="Restore leaves").first.press("Enter")
    expect(page.row("leaves").locator("a")).to_be_focused()
    expect(gone.locator("li", has_text="leaves")).to_have_count(0)
    assert page.titles() == ["stays", "leaves"]
    gone.locator("summary").click()


def test_answers_and_thoughts_are_searched_apart_and_their_text_stays_text(page: ListVisit) -> None:
    page.lay_out(whole("sheep", answer=f"zebra {HOSTILE}", thought="a quagga"), whole("other", thought="no zebra here"))
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("zebr")
    hits = page.tab.locator(".found li")
    expect(hits).to_have_count(1)
    expect(hits.locator("mark")).to_have_text("zebra")
    expect(hits).to_contain_text("<img src=x")
    page.tab.get_by_text("Thoughts", exact=True).click()
    expect(hits.locator(".title")).to_have_text("other")
    page.tab.get_by_text("Answers", exact=True).click()
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type('" OR * NEAR(')
    expect(page.tab.locator(".found [role=status]")).to_have_text("Nothing found")
    page.tab.keyboard.press("Escape")
    expect(page.rows()).to_have_count(2)


def test_what_was_found_on_another_branch_is_shown(page: ListVisit) -> None:
    conversation = whole("fork", answer="alpaca")
    conversation["messages"].append(dict(conversation["messages"][1], id="b", content="llama"))
    page.lay_out(conversation)
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("llama")
    page.tab.locator(".found li", has_text="llama").locator("a").click()
    expect(page.tab.locator(".answer")).to_contain_text("llama")
    page.tab.locator("nav.list input[type=search]").fill("")


def test_a_hit_whose_branch_is_late_leaves_alone_who_has_gone_on(page: ListVisit) -> None:
    conversation = whole("fork", answer="alpaca")
    conversation["messages"].append(dict(conversation["messages"][1], id="b", content="llama"))
    page.lay_out(conversation, whole("other", age=60))
    fork = page.kept("fork")["id"]
    held: list[Any] = []
    page.tab.route(f"**/page/conversations/{fork}", lambda route: held.append(route))
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("llama")
    page.tab.locator(".found li", has_text="llama").locator("a").click()
    page.until(lambda: held)
    page.tab.locator("nav.list input[type=search]").fill("")
    page.row("other").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("other")
    opened: list[str] = []
    page.tab.on("request", lambda request: opened.append(request.url))
    with page.tab.expect_response(lambda answer: answer.request.method == "PATCH"):
        held[0].continue_()
        page.tab.unroute(f"**/page/conversations/{fork}")
    for _ in range(2):  # time enough for what would follow from it
        page.tab.evaluate("fetch('/page/settings').then((answer) => answer.text())")
    assert not [url for url in opened if url.endswith(f"{fork}/events")]
    expect(page.row("other").locator("a")).to_have_attribute("aria-current", "page")


def long_chat(title: str, answer: str, n_more: int, **more: Any) -> dict[str, Any]:
    """`answer` comes first, and a turn of `more` after it `n_more` times."""
    conversation = whole(title, answer=answer)
    for n in range(n_more):
        parent = conversation["messages"][-1]["id"]
        asked, said = (dict(each, id=f"{each['id']}{n}") for each in conversation["messages"][:2])
        asked |= {"parent": parent, "content": f"and {n}?"}
        conversation["messages"] += [asked, said | {"parent": asked["id"], **more}]
    conversation["conversation"]["head"] = conversation["messages"][-1]["id"]
    return conversation


def test_a_hit_far_above_is_brought_into_sight(page: ListVisit) -> None:
    page.lay_out(long_chat("far", "vicuna", 12, content="line\n\n" * 30))
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("vicuna")
    page.tab.locator(".found li", has_text="vicuna").locator("a").click()
    expect(page.tab.locator(".turn")).to_have_count(13)
    expect(page.tab.locator(".answer >> nth=0")).to_be_in_viewport()
    page.tab.locator("nav.list input[type=search]").fill("")


def test_a_chat_full_of_hits_leaves_the_others_in_reach(page: ListVisit) -> None:
    page.lay_out(whole("short", answer="a walrus"), long_chat("long", "a walrus", 59))
    page.tab.keyboard.press("Control+k")
    page.tab.keyboard.type("walrus")
    chats = page.tab.locator(".found li")
    expect(chats).to_have_count(1)
    expect(chats).to_contain_text("49 more in this chat")
    page.tab.get_by_role("button", name="Show more").press("Enter")
    expect(chats).to_have_count(2)
    expect(chats.nth(1).locator("a")).to_be_focused()
    expect(chats.nth(1)).to_contain_text("short")
    page.tab.keyboard.press("ArrowUp")
    expect(chats.nth(0).get_by_role("button", name="59 more in this chat")).to_be_focused()
    page.tab.keyboard.press("Enter")
    expect(chats.nth(0).locator("a")).to_have_count(60)
    expect(chats.nth(0).locator("a").nth(1)).to_be_focused()
    page.tab.locator("nav.list input[type=search]").fill("")


def test_a_conversation_leaves_as_a_file_without_its_thoughts_too(page: ListVisit, tmp_path: Path) -> None:
    page.lay_out(whole("Take me", thought="SECRET", answer="public"))
    for with_thoughts in (True, False):
        menu = page.menu("Take me")
        menu.get_by_label("With thoughts").set_checked(with_thoughts)
        with page.tab.expect_download() as download:
            menu.get_by_role("link", name="Markdown").click()
        assert download.value.suggested_filename == "Take-me.md"
        download.value.save_as(tmp_path / "file.md")
        text = (tmp_path / "file.md").read_text(encoding="utf-8")
        assert "public" in text and ("SECRET" in text) is with_thoughts


def test_files_that_are_given_while_one_is_read_are_read_behind_it_and_that_one_once(page: ListVisit) -> None:
    page.lay_out()
    held: list[Any] = []
    page.tab.route("**/page/import", lambda route: route.continue_() if held else held.append(route))
    chooser = page.tab.locator("nav.list input[type=file]")
    for name in ("one", "one", "other"):
        line = json.dumps({"messages": [{"role": "user", "content": name}, {"role": "assistant", "content": "a"}]})
        chooser.set_input_files({"name": f"{name}.jsonl", "mimeType": "application/json", "buffer": line.encode()})
    page.until(lambda: held)
    page.tab.wait_for_timeout(200)
    held[0].continue_()
    expect(page.tab.locator(".toast [role=status]")).to_have_text("2 conversations imported.")
    expect(page.rows()).to_have_count(2)
    page.tab.unroute("**/page/import")


def test_files_are_imported_and_a_bad_one_says_where(page: ListVisit) -> None:
    page.lay_out()
    line = json.dumps({"messages": [{"role": "user", "content": HOSTILE}, {"role": "assistant", "content": "a"}]})
    chooser = page.tab.locator("nav.list input[type=file]")
    chooser.set_input_files({"name": "good.jsonl", "mimeType": "application/json", "buffer": line.encode()})
    expect(page.tab.locator(".toast [role=status]")).to_have_text("1 conversation imported.")
    expect(page.rows()).to_have_count(1)
    assert page.titles() == [HOSTILE[:80]]
    bad = {"name": "bad.jsonl", "mimeType": "application/json", "buffer": f"{line}\n{{".encode()}
    chooser.set_input_files(bad)
    expect(page.tab.locator(".toast [role=alert]")).to_contain_text("bad.jsonl: Line 2: ")
    expect(page.rows()).to_have_count(1)
    page.tab.locator(".toast").get_by_role("button", name="Dismiss").click()
    # The browser says by itself that a request was refused.
    assert [complaint.partition(" (")[0] for complaint in page.complaints] == [
        "Failed to load resource: the server responded with a status of 400"
    ]
    page.complaints.clear()


def test_a_file_is_refused_where_the_server_would_refuse_it_and_says_how_to_go_on(page: ListVisit) -> None:
    said = [
        page.tab.evaluate(
            """async (size) => {
                const { Importer } = await import('/page/assets/list/transfer.js');
                let said;
                const toast = { say() {}, fail(text) { said = text; } };
                await new Importer(document.createElement('nav'), toast, () => {}).take([{ name: 'big.jsonl', size }]);
                return said;
            }""",
            size,
        )
        for size in (MAX_FILE, MAX_FILE + 1)
    ]
    # What stands for the first one is sent, and makes no conversation.
    assert "at once" not in said[0] and "256 MB can be imported at once. Import it in parts" in said[1]
    assert "status of 400" in page.complaints.pop()


def test_a_file_that_is_dropped_on_the_list_is_imported(page: ListVisit) -> None:
    page.lay_out()
    page.tab.evaluate(
        """(text) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], 'dropped.json', { type: 'application/json' }));
            const nav = document.querySelector('nav.list');
            for (const name of ['dragenter', 'dragover', 'drop'])
                nav.dispatchEvent(new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        own_file(whole("dropped")),
    )
    expect(page.row("dropped")).to_be_visible()
    assert "dropping" not in (page.tab.get_attribute("nav.list", "class") or "")


def test_a_chat_whose_reply_is_written_is_marked_until_it_ends(page: ListVisit) -> None:
    page.lay_out(whole("quiet"))
    page.ask("ENDLESS please")
    dot = page.row("ENDLESS please").locator(".dot")
    expect(dot).to_be_visible()
    reply = page.json(f"/page/conversations/{page.conversation}")["path"][-1]
    page.row("quiet").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("quiet")
    page.tab.context.request.post(f"{page.url}/page/messages/{reply['id']}/control", data={"action": "stop"})
    expect(dot).to_have_count(0)


def test_a_long_list_is_drawn_as_far_as_it_is_read(page: ListVisit) -> None:
    page.lay_out(*(whole(f"number {n}", age=n * 60.0) for n in range(130)))
    last = page.tab.locator("nav.list .row").last
    last.scroll_into_view_if_needed()
    expect(page.rows()).to_have_count(130)
    assert page.titles() == [f"number {n}" for n in range(130)]


def opened_settings(page: ListVisit) -> Any:
    page.tab.click("#open-settings")
    dialog = page.tab.locator("dialog[open]")
    expect(dialog).to_be_visible()
    return dialog


def test_a_double_click_opens_one_dialog(page: ListVisit) -> None:
    page.tab.dblclick("#open-settings")
    page.tab.wait_for_selector("dialog[open]")
    page.tab.wait_for_timeout(300)
    assert page.tab.locator("dialog[open]").count() == 1
    page.tab.keyboard.press("Escape")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value", "said"), [("temperature", "2.1", "From 0 to 2."), ("top_k", "1.5", "whole")]
)
def test_a_setting_out_of_bounds_is_refused_at_its_field(page: ListVisit, field: str, value: str, said: str) -> None:
    page.lay_out(whole("chat"))
    page.row("chat").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("chat")
    dialog = opened_settings(page)
    box = dialog.locator(f"input[name={field}]")
    box.fill(value)
    dialog.get_by_role("button", name="Save").click()
    expect(box).to_be_focused()
    expect(box).to_have_attribute("aria-invalid", "true")
    expect(dialog.locator(".field", has=page.tab.locator(f"input[name={field}]"))).to_contain_text(said)
    page.tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.kept("chat")["settings"][field] is None


def test_a_whole_number_may_have_commas_between_its_thousands_and_no_others(page: ListVisit) -> None:
    page.lay_out(whole("chat"))
    page.row("chat").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("chat")
    dialog = opened_settings(page)
    longest = dialog.get_by_label("Longest reply")
    for wrong in ("4,0", "40,00", "1,5"):
        longest.fill(wrong)
        dialog.get_by_role("button", name="Save").click()
        expect(longest).to_have_attribute("aria-invalid", "true")
    longest.fill("4,000")
    dialog.get_by_label("Temperature").fill("0,5")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    settings = page.kept("chat")["settings"]
    assert (settings["max_tokens"], settings["temperature"]) == (4000, 0.5)


@pytest.mark.slow
def test_settings_are_the_conversations_and_on_request_the_new_ones_too(page: ListVisit) -> None:
    page.lay_out(whole("chat"))
    page.row("chat").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("chat")
    dialog = opened_settings(page)
    dialog.get_by_label("Preset").select_option("creative")
    expect(dialog).to_contain_text("Rare words get their chance")
    expect(dialog).to_contain_text("thoughts may lose their thread")
    dialog.get_by_label("Seed").fill("7")
    dialog.get_by_label("Also for new chats").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    settings = page.kept("chat")["settings"]
    assert (settings["preset"], settings["temperature"], settings["min_p"], settings["seed"]) == (
        "creative",
        1,
        0.05,
        7,
    )
    page.new_chat()
    page.ask("MARKUP")
    page.wait("done")
    assert page.json(f"/page/conversations/{page.conversation}")["conversation"]["settings"]["seed"] == 7
    page.new_chat()
    dialog = opened_settings(page)
    expect(dialog.locator("h2")).to_have_text("Settings of new chats")
    expect(dialog.get_by_label("Seed")).to_have_value("7")
    dialog.get_by_label("Preset").select_option("r1")
    dialog.get_by_label("Seed").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    assert page.json("/page/settings")["settings"]["seed"] is None


def test_how_long_new_chats_think_is_kept(page: ListVisit) -> None:
    dialog = opened_settings(page)
    dialog.get_by_text("Budget", exact=True).click()
    dialog.get_by_label("Thinking budget in tokens").fill("300")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    page.reload()
    expect(page.tab.locator("#composer").get_by_label("Thinking budget in tokens")).to_have_value("300")
    page.ask("MARKUP please")
    page.wait("done")
    settings = page.json(f"/page/conversations/{page.conversation}")["conversation"]["settings"]
    assert (settings["thinking"], settings["budget"]) == ("budget", 300)
    page.tab.context.request.put(f"{page.url}/page/settings", data={"settings": {}})
    page.reload()


def test_what_the_dialog_does_not_ask_for_stays_as_it_was_for_new_chats(page: ListVisit) -> None:
    page.lay_out(whole("chat", settings={"thinking": "budget", "budget": 77}))
    page.row("chat").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("chat")
    dialog = opened_settings(page)
    dialog.get_by_label("Seed").fill("7")
    dialog.get_by_label("Also for new chats").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    kept = page.json("/page/settings")["settings"]
    assert (kept["seed"], kept["thinking"], kept["budget"]) == (7, "auto", 1024)
    page.tab.context.request.put(f"{page.url}/page/settings", data={"settings": {}})


def test_a_new_chat_names_the_model_that_it_is_asked_with(page: ListVisit) -> None:
    request = page.tab.context.request
    request.put(f"{page.url}/page/settings", data={"settings": {"model": "student"}})
    page.reload()
    expect(page.tab.locator(".model-picker > button .name")).to_have_text("student")
    request.put(f"{page.url}/page/settings", data={"settings": {}})
    page.reload()
    expect(page.tab.locator(".model-picker > button .name")).to_have_text("demo")


def test_the_dialog_counts_what_earlier_thoughts_and_the_context_take(page: ListVisit) -> None:
    page.lay_out(whole("chat", thought="hm", tokens=1234))
    page.row("chat").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("chat")
    dialog = opened_settings(page)
    expect(dialog).to_contain_text("1,234 tokens of earlier thoughts are left out")
    dialog.get_by_label("Send earlier thoughts").check()
    expect(dialog).to_contain_text("1,234 tokens of earlier thoughts go with")
    expect(dialog).to_contain_text("1,274 of 4,096 tokens used, 31 %")
    dialog.get_by_text("Closed", exact=True).click()
    dialog.get_by_role("button", name="Cancel").click()
    assert page.tab.evaluate("localStorage.getItem('r1chat.trace')") == "closed"


def test_a_thought_without_figures_is_told_without_them(page: ListVisit) -> None:
    broken = whole("broken", thought="hm", answer="")
    broken["messages"][1]["state"] = "interrupted"
    page.lay_out(whole("imported", thought="hm"), broken)
    for title, said in (("imported", "Thought"), ("broken", "Broke off")):
        page.row(title).locator("a").click()
        expect(page.tab.locator(".question")).to_have_text(title)
        expect(page.tab.locator(".trace .header")).to_have_text(said)
    dialog = opened_settings(page)
    dialog.get_by_label("Send earlier thoughts").check()
    expect(dialog).to_contain_text("On: earlier thoughts go with the next question.")
    page.tab.keyboard.press("Escape")


def test_a_reply_that_was_stopped_before_it_began_says_so(page: ListVisit) -> None:
    stopped = whole("stopped", answer="")
    stopped["messages"][1]["state"] = "stopped"
    page.lay_out(stopped)
    page.row("stopped").locator("a").click()
    expect(page.tab.locator(".notes")).to_have_text("Stopped before it began.")


def test_a_question_without_a_reply_is_asked_as_it_is(page: ListVisit) -> None:
    lonely = whole("MARKUP please")
    del lonely["messages"][1]
    lonely["conversation"]["head"] = "q"
    page.lay_out(lonely)
    page.row("MARKUP please").locator("a").click()
    expect(page.tab.locator(".question")).to_have_text("MARKUP please")
    page.tab.hover(".turn")
    page.tab.click(".edit")
    page.tab.press(".editing textarea", "Enter")
    page.wait("done")
    assert page.text(".question") == "MARKUP please"


def test_settings_that_cannot_be_asked_for_say_why(page: ListVisit) -> None:
    page.tab.route("**/page/state", lambda route: route.abort())
    page.tab.click("#open-settings")
    page.tab.wait_for_selector("#composer .alarm:not(:empty)")
    page.tab.unroute("**/page/state")
    assert all("ERR_FAILED" in complaint for complaint in page.take_complaints())


def test_a_system_prompt_is_warned_of(page: ListVisit) -> None:
    dialog = opened_settings(page)
    note = dialog.get_by_text("R1 was trained without one")
    expect(note).to_have_class("soft")
    dialog.get_by_label("System prompt").fill("Be brief.")
    expect(note).to_have_class("warning")
    page.tab.keyboard.press("Escape")


def test_the_sheet_of_keys_opens_and_closes_by_keyboard(page: ListVisit) -> None:
    page.tab.keyboard.press("Control+/")
    dialog = page.tab.locator("dialog[open]")
    expect(dialog).to_contain_text("Answer now")
    page.tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.tab.locator("#question")).to_be_focused()


def test_on_a_mac_cmd_stands_for_ctrl_which_is_the_text_boxs(page: ListVisit, browser: Browser) -> None:
    page.lay_out(whole("chat"))
    with browser.new_context() as context:
        context.add_init_script("Object.defineProperty(navigator, 'platform', { value: 'MacIntel' })")
        mac = Visit(context.new_page(), page.url).tab
        search, box = mac.locator("nav.list input[type=search]"), mac.locator("#question")
        mac.locator("nav.list .row a").click()
        expect(mac.locator(".question")).to_have_text("chat")
        expect(box).to_be_focused()
        for key in ("Control+k", "Control+e"):
            mac.keyboard.press(key)
            expect(box).to_be_focused()
        mac.keyboard.press("Meta+k")
        expect(search).to_be_focused()


@pytest.fixture
def narrow(browser: Browser, base: str) -> Iterator[Callable[[], Page]]:
    with browser.new_context(viewport={"width": 320, "height": 640}) as context:
        visit = Visit(context.new_page(), base)
        yield lambda: visit.tab
        assert visit.complaints == []


def test_on_a_narrow_window_the_list_slides_over_and_gives_way(page: ListVisit, narrow: Callable[[], Page]) -> None:
    page.lay_out(whole("chosen " + "w" * 60))
    tab = narrow()
    nav = tab.locator("nav.list")
    expect(nav).to_be_hidden()
    tab.click("#show-list")
    expect(nav.locator(".fresh")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(nav).to_be_hidden()
    expect(tab.locator("#show-list")).to_be_focused()
    tab.keyboard.press("Control+k")
    expect(nav.locator("input[type=search]")).to_be_focused()
    chosen = nav.locator(".row a", has_text="chosen")  # laid out by the other tab after this one had come
    chosen.click()
    expect(nav).to_be_hidden()
    expect(tab.locator(".question")).to_contain_text("chosen")
    tab.click("#open-settings")
    tab.locator("dialog[open]").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    dialog = tab.locator("dialog[open]")
    assert dialog.evaluate("(node) => node.scrollWidth <= node.clientWidth")
