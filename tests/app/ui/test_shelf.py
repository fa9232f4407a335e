"""The Models tab on a real server before a hub on loopback: downloads outlive page and server; no network is no end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import LoopbackHub, loopback_hub
from playwright.sync_api import Browser, Locator, Page, expect
from served import Served, served

from r1chat.serve.models.gguf.shapes import make_random_gguf

REPO = "bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"
SLOW, CRAWL = 400_000.0, 8000.0  # at which a block comes before the last one is too old to tell a rate
PATIENCE_MS = 120_000


class House:
    """What a person has: a hub somewhere, a cache, a data folder; `serve` starts a server among them."""

    def __init__(self, folder: Path, hub: LoopbackHub) -> None:
        self.hub = hub
        self.cache = folder / "hub"
        self.data = folder / "data"
        self._environment = {
            "HF_ENDPOINT": hub.url,
            "HF_HUB_CACHE": str(self.cache),
            "R1CHAT_MODELS": str(folder / "students"),
        }

    def serve(self, *arguments: str, **environment: str) -> Any:
        return served("serve", "--data", str(self.data), *arguments, **{**self._environment, **environment})

    @property
    def size(self) -> int:
        """Bytes of the model that is fetched."""
        return len(self.hub.repos[REPO]["m-Q4_K_M.gguf"])

    @property
    def part(self) -> int:
        """Bytes of the one file that is on its way."""
        (part,) = self.cache.glob("models--*/blobs/*.incomplete")
        return part.stat().st_size


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    model = make_random_gguf("tiny-qwen2-256", folder / "m.gguf").read_bytes()
    with loopback_hub() as hub:
        hub.repos = {
            REPO: {"m-Q4_K_M.gguf": model, "m-Q8_0.gguf": model + b"\0"},
            "user/tiny-GGUF": {"t-Q4_K_M.gguf": model, "t-Q8_0.gguf": model + b"\0\0"},
        }
        hub.claimed_size = {"t-Q8_0.gguf": 10**15}
        yield House(folder, hub)


class Tab:
    """The Models tab in a browser. It must never complain."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.url = url
        self.open()

    def open(self) -> None:
        self.page.goto(self.url)
        self.page.click("#room-shelf-button")
        self.page.wait_for_selector("#shelf .row")

    def row(self, model: str) -> Locator:
        return self.page.locator(f'#shelf .row[data-model="{model}"]').first

    def pull(self, model: str, state: str) -> str:
        """What the download's row says, once it is in `state`."""
        row = self.page.locator(f'#shelf .pull[data-pull="{model}"][data-state="{state}"]')
        row.wait_for()
        return row.inner_text()

    def press(self, key: str) -> None:
        self.page.click(f'#shelf [data-key="{key}"]')

    def close(self) -> None:
        self.page.close()
        assert self.complaints == []


@pytest.fixture(scope="module")
def first(house: House) -> Iterator[Served]:
    """The server of the first run: slow hub, nothing fetched. T27 kills it."""
    house.hub.bytes_per_s = SLOW
    with house.serve() as server:
        yield server


@pytest.fixture(scope="module")
def second(first: Served, house: House) -> Iterator[Served]:
    """The one after it."""
    with house.serve() as server:
        yield server


@pytest.fixture(scope="module")
def tab(second: Served, browser: Browser) -> Iterator[Tab]:
    """One tab for what follows on the second server: to load a page takes longer than most of it."""
    tab = Tab(browser, second.url())
    yield tab
    tab.close()


def share(text: str) -> int:
    """The percentage that a row tells of."""
    return int(text.partition(" %")[0].split()[-1])


@pytest.mark.slow
def test_first_run_offers_three_models_with_what_they_take(first: Served, browser: Browser) -> None:
    tab = Tab(browser, first.url())
    cards = tab.page.locator(".shelf .first-run .card")
    expect(cards).to_have_count(3)
    for card in cards.all():
        text = card.inner_text()
        assert "Download: " in text and "needs about" in text and " of context" in text
    assert "cores" in tab.page.inner_text(".shelf .machine") and "memory free" in tab.page.inner_text(".shelf .machine")
    assert "demo" in tab.row("demo").inner_text() and "answers at once" in tab.row("demo").inner_text()
    tab.close()


@pytest.mark.slow
def test_a_download_survives_reload_and_kill_and_goes_on_at_its_byte(
    first: Served, house: House, browser: Browser, request: pytest.FixtureRequest
) -> None:
    tab = Tab(browser, first.url())
    tab.page.click('[data-fetch="r1:1.5b"]')
    begun = time.monotonic()
    while house.hub.sent() < 0.42 * house.size:
        assert time.monotonic() < begun + PATIENCE_MS / 1000
        time.sleep(0.01)
    house.hub.bytes_per_s = CRAWL
    tab.page.wait_for_function("document.querySelector('#shelf .pull progress')?.value >= 40")
    tab.open()
    text = tab.pull("r1:1.5b", "fetching")
    assert share(text) >= 40 and "MB/s" in text
    assert first.stop(signal.SIGKILL) < 0
    kept = house.part
    tab.close()

    server = request.getfixturevalue("second")
    tab = Tab(browser, server.url())
    told = tab.pull("r1:1.5b", "interrupted")
    n_asked = len(house.hub.asks)
    assert share(told) >= 40 and "what has arrived is kept" in told
    house.hub.bytes_per_s = None
    tab.press("go-on r1:1.5b")
    tab.page.locator('#shelf .row[data-model="r1:1.5b"][data-state="unloaded"]').wait_for()
    (ask,) = house.hub.asks[n_asked:]
    assert ask.start == kept > 0.4 * house.size
    assert ask.start + ask.sent == house.size
    tab.close()


@pytest.mark.slow
def test_what_was_fetched_is_loaded_unloaded_and_chosen_for_the_chat(tab: Tab) -> None:
    tab.press("load r1:1.5b")
    row = tab.page.locator('#shelf .row[data-model="r1:1.5b"][data-state="loaded"]')
    row.wait_for()
    assert "in memory" in row.inner_text()
    tab.press("unload r1:1.5b")
    tab.page.locator('#shelf .row[data-model="r1:1.5b"][data-state="unloaded"]').wait_for()


def test_a_disk_that_is_too_small_is_told_before_it_starts(tab: Tab, house: House) -> None:
    n_asked = len(house.hub.asks)
    tab.page.fill("#shelf-lookup", "https://huggingface.co/user/tiny-GGUF")
    tab.page.press("#shelf-lookup", "Enter")
    row = tab.row("user/tiny-GGUF:Q8_0")
    row.wait_for()
    assert "too little for it" in row.inner_text() and row.locator("button").is_disabled()
    assert tab.row("user/tiny-GGUF:Q4_K_M").locator("button").is_enabled()
    # Asked for nevertheless, as an old tab might.
    tab.page.evaluate("import('/page/assets/shelf/pulls.js').then(({ pulls }) => pulls.begin('user/tiny-GGUF:Q8_0'))")
    told = tab.pull("user/tiny-GGUF:Q8_0", "failed")
    assert "needs 1100000.0 GB" in told and "r1chat pull user/tiny-GGUF:Q8_0" in told
    assert house.hub.asks[n_asked:] == []
    tab.press("dismiss user/tiny-GGUF:Q8_0")
    tab.page.locator(".shelf .pull").wait_for(state="hidden")


def test_a_look_at_the_shelf_leaves_rows_alone_that_are_as_they_were(tab: Tab) -> None:
    told = tab.page.request.get(f"{tab.url}/page/shelf").json()
    tab.page.route("**/page/shelf", lambda route: route.fulfill(json=told))
    rows = tab.page.locator("#shelf .row:not(.choice)")

    def made_anew() -> Any:
        """Names in the rows that the next look does not leave."""
        rows.evaluate_all("nodes => nodes.forEach((node) => { node.isOld = true; })")
        told["hardware"]["cores"] += 1000  # what is said of the machine is drawn with the rows
        tab.page.evaluate("import('/page/assets/common/bus.js').then((bus) => bus.emit('models-changed'))")
        tab.page.locator("#shelf", has_text=f"{told['hardware']['cores']:,} cores").wait_for()
        return rows.evaluate_all("nodes => nodes.filter((node) => !node.isOld).map((node) => node.dataset.model)")

    made_anew()
    assert made_anew() == []
    changed = told["catalogue"][0]
    changed["parameters"] = "many"
    assert made_anew() == [changed["choices"][0]["id"]]
    tab.page.unroute("**/page/shelf")


def test_a_name_that_the_hub_does_not_know_is_told_beside_the_field(tab: Tab) -> None:
    for name, told in (("nobody/nothing", "no public model"), ("../../etc", "looks like user/repo")):
        tab.page.fill("#shelf-lookup", name)
        tab.page.press("#shelf-lookup", "Enter")
        tab.page.locator("#shelf [role=status].alarm", has_text=told).wait_for()


def test_a_name_is_looked_up_while_the_last_one_is_looked_at_again(tab: Tab) -> None:
    lookup = "**/page/shelf/lookup"
    tab.page.fill("#shelf-lookup", "user/tiny-GGUF")
    tab.page.press("#shelf-lookup", "Enter")
    tab.row("user/tiny-GGUF:Q4_K_M").wait_for()
    held: list[Any] = []
    tab.page.route(lookup, lambda route: route.continue_() if held else held.append(route))
    with tab.page.expect_request(lookup):
        tab.page.evaluate("import('/page/assets/common/bus.js').then((bus) => bus.emit('models-changed'))")
    tab.page.fill("#shelf-lookup", "nobody/nothing")
    tab.page.press("#shelf-lookup", "Enter")
    told = tab.page.locator("#shelf [role=status].alarm", has_text="no public model")
    told.wait_for()
    with tab.page.expect_response(lookup):
        held[0].continue_()
    tab.page.evaluate("new Promise((done) => setTimeout(done))")
    assert told.is_visible() and tab.row("user/tiny-GGUF:Q4_K_M").count() == 0
    tab.page.unroute(lookup)


def test_a_download_that_is_given_up_can_be_begun_again_where_it_was_found(tab: Tab, house: House) -> None:
    house.hub.bytes_per_s = CRAWL
    name = "user/tiny-GGUF:Q4_K_M"
    tab.page.fill("#shelf-lookup", "user/tiny-GGUF")
    tab.page.press("#shelf-lookup", "Enter")
    tab.press(f"fetch {name}")
    tab.page.locator(f'#shelf .choice[data-model="{name}"] [data-key^="fetch"]').wait_for(state="detached")
    tab.press(f"stop {name}")
    tab.pull(name, "stopped")
    pulls = tab.page.request.get(f"{tab.url}/page/shelf/pulls").json()["pulls"]
    (pull,) = (each["id"] for each in pulls if each["model"] == name)
    tab.page.evaluate(f"import('/page/assets/shelf/pulls.js').then(({{ pulls }}) => pulls.forget({pull!r}))")
    tab.page.locator(f'#shelf .pull[data-pull="{name}"]').wait_for(state="detached")
    expect(tab.page.locator(f'#shelf .choice[data-model="{name}"] [data-key^="fetch"]')).to_be_enabled()
    house.hub.bytes_per_s = None


def test_a_model_is_removed_after_a_question_that_says_what_it_frees(tab: Tab, house: House) -> None:
    tab.page.fill("#shelf-lookup", "user/tiny-GGUF")
    tab.page.press("#shelf-lookup", "Enter")
    tab.press("fetch user/tiny-GGUF:Q4_K_M")
    tab.press("remove user/tiny-GGUF:Q4_K_M")
    dialog = tab.page.locator("dialog")
    assert "frees 1.1 MB" in dialog.inner_text()
    tab.page.keyboard.press("Escape")
    assert tab.row("user/tiny-GGUF:Q4_K_M").is_visible()
    tab.press("remove user/tiny-GGUF:Q4_K_M")
    dialog.locator("button.danger").click()
    tab.page.locator('#shelf .row[data-state][data-model="user/tiny-GGUF:Q4_K_M"]').wait_for(state="detached")
    assert not list(house.cache.glob("models--user--tiny-GGUF/**/*.gguf"))


@pytest.mark.slow
def test_the_model_is_chosen_in_the_chat_or_on_the_shelf_and_kept_with_the_conversation(tab: Tab) -> None:
    made = tab.page.request.post(f"{tab.url}/page/conversations", data={}).json()
    route = f"{tab.url}/page/conversations/{made['id']}"
    tab.page.goto(f"{tab.url}/?c={made['id']}")
    tab.page.click(".model-picker > button")
    menu = tab.page.locator(".model-picker [role=menu]")
    menu.locator('[data-model="demo"][aria-checked=true]').wait_for()
    assert "More models" in menu.inner_text()
    with tab.page.expect_response(route):
        menu.locator('[data-model="r1:1.5b"]').click()
    assert tab.page.request.get(route).json()["conversation"]["settings"]["model"] == "r1:1.5b"
    tab.page.wait_for_function("document.querySelector('.model-picker > button .name').textContent === 'r1:1.5b'")
    # What was chosen loads at once; the menu's last entry leads to the shelf.
    tab.page.locator(".model-picker > button").press("ArrowDown")
    tab.page.keyboard.press("End")
    tab.page.keyboard.press("Enter")
    tab.page.locator('#shelf .row[data-model="r1:1.5b"][data-state="loaded"]').wait_for()
    with tab.page.expect_response(route):
        tab.press("chat demo")
    tab.page.locator("#question").wait_for()
    assert tab.page.request.get(route).json()["conversation"]["settings"]["model"] == ""


@pytest.mark.slow
def test_offline_what_is_here_runs_and_the_rest_says_why_not(
    second: Served, tab: Tab, house: House, browser: Browser
) -> None:
    tab.page.goto("about:blank")
    second.stop(signal.SIGINT)
    with house.serve("--ctx", "2048", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9") as server:
        tab = Tab(browser, server.url())
        away = tab.row("r1:7b")
        assert "HF_HUB_OFFLINE is set" in away.inner_text() and away.locator("button").first.is_disabled()
        tab.press("load r1:1.5b")
        tab.page.locator('#shelf .row[data-model="r1:1.5b"][data-state="loaded"]').wait_for()
        said = tab.page.request.post(
            f"{tab.url}/v1/chat/completions",
            data={"model": "r1:1.5b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4},
        ).json()
        assert said["usage"]["completion_tokens"] == 4
        tab.page.click("#room-chat-button")
        tab.page.click(".model-picker > button")
        grey = tab.page.locator('.model-picker [data-model="r1:7b"][aria-disabled=true]')
        assert "HF_HUB_OFFLINE is set" in grey.inner_text()
        refused = tab.page.request.post(f"{tab.url}/page/shelf/lookup", data={"model": "user/tiny-GGUF"})
        assert refused.status == 404 and refused.json()["error"]["message"].endswith("r1chat list")
        tab.close()
