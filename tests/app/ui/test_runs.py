"""The runs' routes and tab: a run of distill's own files, while it is at work and when it is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from filelock import FileLock
from playwright.sync_api import expect

from r1chat.app.distilling.progress import STAGES
from r1chat.distill.rows import ProblemRow, RolloutRow, SampleRow, Teacher, TraceRow, read_rows, write_rows
from r1chat.distill.run_folder import RunFolder
from r1chat.serve.models.students import register_student

from .conftest import PageServer, Visit
from .person import Person

if TYPE_CHECKING:
    from playwright.sync_api import Route

HOSTILE = "<img src=x onerror=window.pwned=1> \\boxed{1}"
N_STEPS = 1200
LOG = "document.querySelector('#runs .log pre')"


@pytest.fixture
def folder(server: PageServer) -> Iterator[RunFolder]:
    """A finished run as its stages leave it."""
    made = RunFolder(server.services.data / "runs" / "one")
    write_files(made)
    yield made
    shutil.rmtree(made.root)


def write_files(folder: RunFolder) -> None:
    done = {name: {"seconds": 2.0, "summary": {"verdict": "The student is better."}} for name in STAGES}
    config = {"name": "one-r1", "student": {"name": "tiny"}}
    folder.write_json(folder.record, {"created": 1.0, "config": config, "stages": done})
    for step in range(1, N_STEPS + 1):
        folder.log("sft", step, share=step / N_STEPS, loss=4.0 / step)
    problems = [ProblemRow(id=f"p{n}", prompt=f"What is {n}+0? {HOSTILE}", gold=str(n), source="t") for n in range(12)]
    write_rows(folder.asked, problems)
    write_rows(folder.verified, [
        TraceRow(id=each.id, problem=each, teacher=Teacher(name="demo"), sample=0, reasoning=HOSTILE, answer=HOSTILE,
                 finish_reason="stop", created=0.0, verdict="right") for each in problems
    ])  # fmt: skip
    write_rows(folder.samples, [
        SampleRow(model=model, quant="Q8_0", set="t", problem_id=each.id, sample=k, reasoning=f"{model} thinks {k}",
                  answer=HOSTILE, finish_reason="stop", verdict="wrong" if each.id == "p3" and k else "right")
        for model in ("teacher", "base", "student") for each in problems for k in range(2)
    ])  # fmt: skip
    folder.report.mkdir()
    (folder.report / "index.html").write_text("<!doctype html><title>report</title><p>numbers", encoding="utf-8")


@pytest.fixture
def person(server: PageServer) -> Person:
    return Person(server.url)


def test_a_run_tells_its_numbers_its_rollouts_and_its_report(person: Person, folder: RunFolder) -> None:
    (run,) = person.get("/runs")["runs"]
    assert (run["id"], run["name"], run["state"], run["verdict"]) == ("one", "one-r1", "done", "The student is better.")
    told = person.get("/runs/one")["metrics"]
    assert {"stage": "sft", "metric": "loss", "points": N_STEPS} in told
    points = person.get("/runs/one/series?stage=sft&metric=loss")["points"]
    assert len(points) <= 500
    assert (points[0], points[-1]) == ([1.0, 4.0], [float(N_STEPS), 4.0 / N_STEPS])

    answers = person.get("/runs/one/rollouts?of=answers&start=0&n=2")
    assert (answers["total"], len(answers["groups"])) == (12, 2)
    first = answers["groups"][0]
    assert first["problem"]["gold"] == "0"
    assert [row["by"] for row in first["rows"]] == ["teacher/Q8_0"] * 2 + ["base/Q8_0"] * 2 + ["student/Q8_0"] * 2
    assert "<img" not in first["rows"][0]["html"]
    wrong = person.get("/runs/one/rollouts?of=answers&not_right=true")
    assert [group["problem"]["gold"] for group in wrong["groups"]] == ["3"]
    traces = person.get("/runs/one/rollouts?of=traces&start=11&n=5")
    assert [row["by"] for group in traces["groups"] for row in group["rows"]] == ["demo"]

    answer = next(read_rows(folder.samples, SampleRow))
    rows = [
        msgspec.structs.replace(answer, model=model, sample=k, verdict="right" if k == 17 else "wrong")
        for model in ("teacher", "base", "one", "two", "three")
        for k in range(18)
    ]
    write_rows(folder.samples, rows)
    (group,) = person.get("/runs/one/rollouts?of=answers")["groups"]
    assert group["scores"] == {f"{row.model}/Q8_0": [1, 18] for row in rows}, "each counts with all of its answers"
    assert {row["by"] for row in group["rows"]} == set(group["scores"])

    report = person.http.get("/runs/one/report")
    assert (report.status_code, "numbers" in report.text) == (200, True)
    policy = report.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "sandbox" in policy


@pytest.mark.parametrize(
    "path",
    ["/runs/none", "/runs/none/report", "/runs/%2e%2e/report", "/runs/..%2fone/report", "/runs/one%2f..%2fone/report",
     "/runs/one/report/..%2frun.json", "/runs/one/series?stage=sft&metric=none"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(person: Person, folder: RunFolder, path: str) -> None:
    assert person.get(path, status=404)["error"]["message"]


def test_bad_input_is_told_in_one_line(person: Person, folder: RunFolder) -> None:
    choice = {"student": "tiny", "name": "two", "traces": "generated"}
    for answer in [
        person.get("/runs/one/rollouts?of=secrets", status=400),
        person.get("/runs/one/rollouts?n=1000", status=400),
        person.get("/runs/one/series?stage=sft", status=400),
        person.post("/runs", status=400, **{**choice, "student": "none"}),
        person.post("/runs", status=400, **{**choice, "name": "../two"}),
        person.post("/runs", status=400, **{**choice, "name": "one"}),
        person.post("/runs", status=400, **{**choice, "traces": "/etc/passwd"}),
        person.post("/runs", status=400, **{**choice, "traces": "stars"}),
        person.post("/runs/plan", status=400, **choice, run_dir="/"),
        person.post("/runs/one/stop", status=400),
    ]:
        assert answer["error"]["message"]
    assert [path.name for path in folder.root.parent.iterdir()] == ["one"]


@pytest.mark.slow
def test_a_run_is_watched_while_it_works(folder: RunFolder, visit: Visit) -> None:
    tab = visit.tab
    stop(folder)
    with FileLock(Path(folder.root) / ".lock"):
        tab.click("#room-runs-button")
        tab.wait_for_selector(".run .badge[data-state=running]")
        tab.wait_for_selector(".numbers path.line")
        assert "over 1,200 steps" in (tab.get_attribute(".numbers svg", "aria-label") or "")
        folder.log("sft", N_STEPS + 300, share=0.5, loss=9.0)
        tab.wait_for_selector(".numbers svg[aria-label*='1,500 steps']")
        tab.wait_for_selector(".stages [data-stage=sft] .told >> text=50 %")
    tab.wait_for_selector(".run .badge[data-state=stopped]")
    tab.focus(".numbers svg")
    tab.keyboard.press("End")
    assert tab.inner_text(".numbers .readout") == "step 1,500: 9"

    tab.wait_for_selector(".problem")
    assert tab.locator(".problem").count() == 5
    tab.select_option("#runs .run section select[aria-label]", "answers")
    tab.wait_for_function("document.querySelectorAll('.problem:first-child .column').length === 3")
    tab.check("#runs .tick input")
    tab.wait_for_function("document.querySelectorAll('.problem').length === 1")
    assert tab.evaluate("window.pwned") is None
    assert tab.locator("#runs img").count() == 0


def stop(folder: RunFolder) -> None:
    """Leaves the run as one that ended within its training."""
    record = folder.read_json(folder.record)
    for name in ("sft", "export", "evaluate", "report"):
        del record["stages"][name]
    folder.write_json(folder.record, record)


def test_a_double_click_has_a_run_go_on_once(folder: RunFolder, visit: Visit) -> None:
    stop(folder)
    tab = visit.tab
    asked: list[Route] = []
    tab.route("**/go_on", lambda route: asked.append(route))
    tab.click("#room-runs-button")
    tab.dblclick("#runs .run .buttons >> text=Go on")
    visit.until(lambda: asked)
    tab.wait_for_timeout(300)
    assert len(asked) == 1
    asked[0].fulfill(json={"run": visit.json("/page/runs/one")["run"]})


def test_a_finished_run_leads_into_a_chat_with_what_came_of_it(
    folder: RunFolder, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1CHAT_MODELS", str(tmp_path))
    student = tmp_path / "student"
    student.write_bytes(b"GGUF")
    register_student(student, "one-r1", {"source": str(folder.root.resolve())})
    tab = visit.tab
    tab.click("#room-runs-button")
    tab.click("#runs .run .buttons >> text=Chat with it")
    expect(tab.locator(".model-picker > button .name")).to_have_text("one-r1")
    expect(tab.get_by_role("textbox").first).to_be_visible()


def test_what_grows_while_it_is_read_is_followed_and_nothing_is_taken_away(folder: RunFolder, visit: Visit) -> None:
    stop(folder)
    lines = folder.verified.read_text(encoding="utf-8").splitlines(keepends=True)
    folder.verified.write_text("".join(lines[:3]), encoding="utf-8")
    folder.samples.unlink()
    (folder.root / "begun.json").write_text('{"started": 1.0}', encoding="utf-8")
    said = folder.root / "log.txt"
    said.write_text("line\n" * 100, encoding="utf-8")
    tab = visit.tab
    tab.click("#room-runs-button")
    tab.click("[data-run=one]")
    tab.wait_for_selector(".pages >> text=1 to 3 of 3")
    first = tab.locator(".problem >> nth=0").element_handle()
    tab.click(".log summary")
    tab.wait_for_function(f"{LOG}.textContent.startsWith('line')")
    assert tab.is_disabled(".pages >> text=Next")
    with folder.verified.open("a", encoding="utf-8") as file:
        file.writelines(lines[3:])
    with said.open("a", encoding="utf-8") as file:
        file.write("the last word\n")
    tab.wait_for_selector(".pages >> text=1 to 5 of 12")
    assert tab.locator(".problem").count() == 5 and first.evaluate("(node) => node.isConnected")
    tab.wait_for_function(f"{LOG}.textContent.includes('the last word')")
    tab.wait_for_function(f"{LOG}.scrollHeight - {LOG}.scrollTop - {LOG}.clientHeight < 2 && {LOG}.scrollTop > 0")
    tab.click(".pages >> text=Next")
    tab.wait_for_selector(".pages >> text=6 to 10 of 12")
    tab.evaluate(f"{LOG}.scrollTop = 7")
    with said.open("a", encoding="utf-8") as file:
        file.write("and one more\n")
    tab.wait_for_function(f"{LOG}.textContent.includes('and one more')")
    assert tab.evaluate(f"{LOG}.scrollTop") == 7
    assert tab.inner_text(".pages [role=status]") == "6 to 10 of 12"


def test_rollouts_are_asked_for_when_something_was_written_and_then_for_what_is_missing(
    folder: RunFolder, visit: Visit
) -> None:
    lines = folder.verified.read_text(encoding="utf-8").splitlines(keepends=True)
    folder.verified.write_text("".join(lines[:3]), encoding="utf-8")
    folder.samples.unlink()
    looks: list[str] = []
    visit.tab.on("request", lambda request: looks.append(request.url.partition("/page/runs")[2]))
    visit.tab.click("#room-runs-button")
    visit.tab.click("[data-run=one]")
    visit.tab.wait_for_selector(".pages >> text=1 to 3 of 3")
    looks.clear()
    visit.until(lambda: looks.count("/one") >= 3)
    assert not any("rollouts" in look for look in looks)
    for n_lines, added, seen in ((9, "start=3&n=2", "1 to 5 of 9"), (12, "start=5&n=0", "1 to 5 of 12")):
        folder.verified.write_text("".join(lines[:n_lines]), encoding="utf-8")
        visit.tab.wait_for_selector(f".pages >> text={seen}")
        asked = [look for look in looks if "rollouts" in look]
        assert len(asked) == 1 and asked[0].endswith(added)
        looks.clear()
    assert visit.tab.locator(".problem").count() == 5


def test_a_page_of_rollouts_that_could_not_be_had_is_the_one_that_is_asked_for_again(
    folder: RunFolder, visit: Visit
) -> None:
    folder.samples.unlink()
    tab, refused = visit.tab, "**/rollouts?*start=10&*"
    tab.click("#room-runs-button")
    tab.click("[data-run=one]")
    tab.wait_for_selector(".pages >> text=1 to 5 of 12")
    tab.click(".pages >> text=Next")
    tab.wait_for_selector(".pages >> text=6 to 10 of 12")
    tab.route(refused, lambda route: route.abort())
    with tab.expect_request(refused):
        tab.click(".pages >> text=Next")
    with tab.expect_request("**/rollouts?*") as again:
        tab.unroute(refused)
    assert "start=10&" in again.value.url
    tab.wait_for_selector(".pages >> text=11 to 12 of 12")
    visit.take_complaints()


@pytest.mark.slow
def test_a_hidden_tab_does_not_ask(folder: RunFolder, visit: Visit) -> None:
    asked: list[str] = []  # each look begins with this route
    visit.tab.on("request", lambda request: asked.append(request.url) if request.url.endswith("/page/runs") else None)
    visit.tab.click("#room-runs-button")
    visit.tab.wait_for_selector(".numbers path.line")
    visit.tab.click("#room-stars-button")
    expect(visit.tab.locator("#runs")).to_be_hidden()
    visit.tab.wait_for_timeout(300)
    asked.clear()
    visit.tab.wait_for_timeout(2500)
    assert asked == []


@pytest.fixture
def practised(server: PageServer) -> Iterator[RunFolder]:
    """A recipe whose second step practises."""
    made = RunFolder(server.services.data / "runs" / "zero")
    steps = [{"name": "base", "kind": "stream"}, {"name": "rl", "kind": "grpo"}]
    record = {"created": 1.0, "recipe": "r1-zero", "config": {"name": "zero-small", "student": {"name": "small"}},
              "plan": ["base", "rl"], "steps": steps, "stages": {"base": {"seconds": 2.0}}}  # fmt: skip
    made.write_json(made.record, record)
    for step in range(101):
        made.log("rl", step, accuracy=step / 200, length=20.0 + step, check_share=step / 100, share=step / 200, kl=0.0)
        if step % 25 == 0:
            made.log("rl", step, held_out_accuracy=step / 400)
    write_rows(RunFolder(made.root / "steps" / "2-rl").rollouts, [
        RolloutRow(step=step, problem_id=problem, prompt=f"Reach {problem}. {HOSTILE}", reasoning=f"thought {step}",
                   answer=HOSTILE, finish_reason="stop", verdict="right" if problem == "q" and step else "wrong",
                   watched=True)
        for step in range(0, 101, 5) for problem in ("p", "q") for _ in range(2)
    ])  # fmt: skip
    yield made
    shutil.rmtree(made.root)


def test_a_recipe_tells_the_curves_of_its_steps_and_what_was_learnt_first(person: Person, practised: RunFolder) -> None:
    told = person.get("/runs/zero")
    size = (practised.root / "steps" / "2-rl" / "rollouts.jsonl").stat().st_size
    assert told["rows"] == [{"step": "rl", "of": "watched", "written": size}]
    curves = person.get("/runs/zero/curves?stage=rl&metric=accuracy&metric=held_out_accuracy&metric=none")["curves"]
    assert set(curves) == {"accuracy", "held_out_accuracy"}
    assert curves["held_out_accuracy"][-1] == [100.0, 0.25]
    found = person.get("/runs/zero/rollouts?of=watched&step=rl")
    assert [group["problem"]["prompt"][:7] for group in found["groups"]] == ["Reach q", "Reach p"]
    rows = found["groups"][0]["rows"]
    assert (rows[0]["step"], rows[-1]["step"], len(rows)) == (0, 100, 12)
    assert [row["verdict"] for row in (rows[0], rows[-1])] == ["wrong", "right"]
    assert person.get("/runs/zero/rollouts?of=watched&step=../2-rl", status=404)["error"]["message"]
    assert person.get("/runs/zero/curves?stage=rl", status=400)["error"]["message"]


@pytest.mark.slow
def test_what_a_recipe_learns_is_watched_and_read_before_and_after(practised: RunFolder, visit: Visit) -> None:
    tab = visit.tab
    tab.click("#room-runs-button")
    tab.click("[data-run=zero]")
    tab.wait_for_selector(".learning .panel:nth-child(3) path.line")
    assert tab.inner_text(".stages [data-stage=rl] .told").endswith("held-out accuracy 25 %")
    label = tab.get_attribute(".learning .panel:first-child svg", "aria-label")
    assert label == "Accuracy: in practice from 0 % to 50 %, held out from 0 % to 25 %"
    chart = ".learning .panel:first-child svg"
    tab.hover(chart)
    tab.focus(chart)
    tab.keyboard.press("End")
    tab.evaluate("window.scrollBy(0, 400)")
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert tab.inner_text(".learning .panel:first-child .readout") == "step 100: in practice 50 %, held out 25 %"
    first = ".problem:first-child"
    tab.wait_for_selector(f"{first} .column:nth-child(2)")
    assert [tab.inner_text(f"{first} .column:nth-child({n}) .thought") for n in (1, 2)] == ["thought 0", "thought 100"]
    tab.select_option(f"{first} .column:nth-child(2) select", label="Step 50")
    assert tab.inner_text(f"{first} .column:nth-child(2) .thought") == "thought 50"
    tab.select_option("#run-metric", '["rl","kl"]')
    tab.wait_for_selector(".numbers svg[aria-label^='rl: KL']")
    assert "-" not in (tab.text_content(".numbers svg") or ""), "nothing is no less than nothing"
    practised.log("rl", 125, held_out_accuracy=0.5)
    tab.wait_for_selector(".learning svg[aria-label$='held out from 0 % to 50 %']")
    assert tab.evaluate("window.pwned") is None
    assert tab.locator("#runs img").count() == 0


def test_what_was_measured_is_told_as_it_is_and_progress_never_too_early(visit: Visit) -> None:
    told = visit.tab.evaluate(
        """import('/page/assets/words/runs.js').then(({ words }) => [
            words.value('held_out_accuracy', 0.58), words.value('accuracy', 0.287), words.percent(0.999)
        ])"""
    )
    assert told == ["58 %", "28.7 %", "99 %"]


def test_a_recipe_is_offered_with_students_that_it_can_make(folder: RunFolder, visit: Visit) -> None:
    tab = visit.tab
    tab.click("#room-runs-button")
    tab.click("#runs header button.primary")
    options = "[...document.querySelectorAll('#new-student option')].map(({ value }) => value)"
    assert "qwen-1.5b" in tab.evaluate(options)
    tab.select_option("#new-recipe", "r1-zero")
    assert tab.evaluate(options) == ["", "tiny", "small", "demo"]
    assert tab.input_value("#new-name") == "my-r1-zero"
    assert not tab.is_visible("[name=new-traces]")
    tab.click(".new-run [type=submit]")
    tab.wait_for_selector(".dialog pre.plan")
    assert "\nstep 2    rl " in tab.inner_text(".dialog pre.plan")
    assert [path.name for path in folder.root.parent.iterdir()] == ["one"]
