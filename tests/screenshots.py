"""The pictures of README, taken from the real page on the bundled model: python -m tests.screenshots [NAME ...].

A folder of its own holds the conversations; --run RUN puts a run of yours into the picture of the runs, which
otherwise shows a short one that is made for it (some three minutes).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
QUESTIONS = (
    "How many times does the letter r appear in strawberry?",
    "What is 15% of 240?",
    "A train travels the first half of a trip at 30 mph and the second half at 60 mph. What is its average speed?",
    "Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. What is the cost of each apple?",
)
# One that the bundled model gets wrong now and then, so that there is something to vote about.
DIVIDED, RIGHT = "How much are 7 balls at $9 each?", "63"
SHORT_RUN = (
    "--student tiny --name small --max-problems 200 --samples 1 --base-minutes 0.5 --epochs 2 --eval-problems 20"
    " --eval-samples 2 --quants q8_0 --yes"
).split()
WIDE, NARROW = {"width": 1360, "height": 800}, {"width": 390, "height": 800}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


class Camera:
    """A browser on the page at `url`."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url

    @contextmanager
    def at(self, size: dict[str, int], scheme: str = "light") -> Iterator[Page]:
        """A tab of this size."""
        with self._browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=2) as context:
            page = context.new_page()
            page.goto(self._url)
            page.wait_for_selector("#question")
            yield page

    def shoot(self, page: Page, name: str) -> None:
        """Writes NAME.png when what moves has come to rest."""
        page.wait_for_timeout(800)
        page.screenshot(path=FOLDER / f"{name}.png")
        print(FOLDER / f"{name}.png")


def wide(camera: Camera) -> None:
    with camera.at(WIDE) as page:
        for question in QUESTIONS:
            page.get_by_role("button", name="New chat").first.click()
            ask(page, question)
        page.get_by_role("button", name="Show all").last.click()
        page.wait_for_selector(".finished")
        camera.shoot(page, "wide")


def narrow(camera: Camera) -> None:
    with camera.at(NARROW) as page:
        ask(page, QUESTIONS[2])
        camera.shoot(page, "narrow")


def dark(camera: Camera) -> None:
    with camera.at(WIDE, "dark") as page:
        ask(page, QUESTIONS[1])
        camera.shoot(page, "dark")


def many(camera: Camera) -> None:
    with camera.at(WIDE) as page:
        page.locator(".ask-many > button").click()
        page.locator("input[value=vote]").check()
        page.get_by_label(re.compile("right answer", re.IGNORECASE)).fill(RIGHT)
        page.keyboard.press("Escape")
        ask(page, DIVIDED)
        camera.shoot(page, "many")


def runs(camera: Camera) -> None:
    with camera.at(WIDE) as page:
        page.get_by_role("tab", name="Runs").click()
        page.wait_for_selector(".run")
        camera.shoot(page, "runs")


PICTURES: dict[str, Callable[[Camera], None]] = {
    "wide": wide, "narrow": narrow, "dark": dark, "many": many, "runs": runs
}  # fmt: skip


def ask(page: Page, question: str) -> None:
    """Asks, and waits until nothing is being written any more."""
    n_turns = page.locator(".turn").count()
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.locator(".turn").nth(n_turns).wait_for()
    page.wait_for_selector("#ask:visible")


@contextmanager
def server(data: Path) -> Iterator[str]:
    """The page's address, on the bundled model."""
    command = [sys.executable, "-m", "r1chat.app", "--no-browser", "--port", "0", "--data", str(data)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if found := re.search(r"Page: (\S+)", line):
                yield found[1]
                break
        running.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(PICTURES)} (default: all)")
    parser.add_argument("--run", type=Path, metavar="RUN", help="the folder of a run to show")
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        if "runs" in (args.names or PICTURES):
            show_run(data, args.run)
        take(data, args.names or list(PICTURES))


def show_run(data: Path, run: Path | None) -> None:
    """Copies the run to where the page finds it, or makes one there."""
    if run is not None:
        shutil.copytree(run, data / "runs" / run.name)
    else:
        command = [sys.executable, "-m", "r1chat.app", "distill", *SHORT_RUN, "--run-dir", str(data / "runs" / "small")]
        subprocess.run(command, check=True, env={**os.environ, "R1CHAT_MODELS": str(data / "models")})


def take(data: Path, names: list[str]) -> None:
    """The pictures of these names."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with server(data) as url, sync_playwright() as playwright:
        camera = Camera(playwright.chromium.launch(executable_path=path, args=FLAGS), url)
        for name in names:
            PICTURES[name](camera)


if __name__ == "__main__":
    main()
