"""Programs that a model wrote: right ones pass, wrong ones do not whatever they claim, and none gets out."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from live_server import eventually

from r1chat.distill.verify.code import decoded, last_program, rule_code, same_output
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.ruling import Ruling
from r1chat.distill.verify.sandbox import Outcome, Run, run_in_jail

ON = VerifyConfig(sandbox=True, timeout_s=30.0)  # none of those that are judged with it loops
DOUBLE = {"asserts": ["assert double(2) == 4", "assert double(-1) == -2, 'of -1'", "assert double([1]) == [1, 1]"]}
PRINTS = {"tests": [{"input": "2\n", "output": "4\n"}, {"input": "5", "output": "10"}]}


@pytest.fixture(scope="module", autouse=True)
def _jail() -> None:
    outcome = run("pass", 30.0)
    if outcome.kind == "no jail":
        pytest.skip(f"no namespaces here: {outcome.why}")


def run(program: str, timeout_s: float) -> Outcome:
    """What becomes of it once."""
    (outcome,) = run_in_jail(program, [Run()], timeout_s)
    return outcome


def ruled(program: str, check: dict[str, Any]) -> Ruling:
    return rule_code(check, f"Here it is:\n\n```python\n{program}\n```\nThat is all.", ON)


@pytest.mark.parametrize(
    ("program", "check"),
    [
        ("def double(x):\n    return x + x", DOUBLE),
        ("import math, collections, heapq, re\nprint(math.prod([int(input()), 2]))", PRINTS),
        ("print(float(input()) * 2)", PRINTS),
        ("def f(a, b): return (a, {b: [1.5, None]})", {"function": "f", "tests": [{"args": [1, "x"], "output": [1, {"x": [1.5, None]}]}]}),
        ("class Solution:\n    def f(self, a): return a[::-1]", {"function": "f", "tests": [{"args": [[1, 2]], "output": [2, 1]}]}),
        ("open('x', 'w').write('7')\ndef f(): return int(open('x').read())", {"asserts": "assert f() == 7\nassert not f() - 7\nassert f() > 6 or False"}),
        ("import re\ndef f(x): return re.match('1', x)", {"asserts": ["assert f('1')", "assert not f('2')", "assert f('1') and not f('')"]}),
        ("from collections import UserList\ndef f(): return UserList()", {"asserts": ["assert not f()"]}),
        ("import sys\nprint(int(input()) * 2)\nsys.exit()", PRINTS),
        ("n = int(input())\nprint(n * 2)\nexit()", PRINTS),
        ("import threading\nthreading.Thread(target=lambda: print(int(input()) * 2)).start()", PRINTS),
        ("def f(): return {1, 2}", {"asserts": ["assert f() == {2, 1}", "assert BASE is None"], "setup": "BASE = None"}),
    ],
)  # fmt: skip
def test_a_program_that_is_right_passes(program: str, check: dict[str, Any]) -> None:
    ruling = ruled(program, check)
    assert ruling.verdict == "right" and ruling.reason.startswith("passes"), ruling


@pytest.mark.parametrize(
    "program",
    [
        "def double(x): return x * 3",
        "import os; os._exit(0)",
        "import os; os._exit(99)",
        "import sys; sys.exit(0)",
        "class Yes(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef double(x): return Yes()",
        "import builtins; builtins.AssertionError = ValueError\ndef double(x): return None",
        "print('PASS'); print('{\"passed\": true}'); print('4\\n10')",
        "import atexit, os\natexit.register(lambda: os._exit(0))\ndef double(x): return 1",
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'4')\n    except OSError: pass\nos._exit(0)",
        "import json\njson.dumps = lambda *a, **k: '4'\ndef double(x): return 1",
        "def double(x):\n    raise SystemExit(0)",
        "def double(",
        "",
    ],
)
def test_no_program_passes_by_saying_so(program: str) -> None:
    assert ruled(program, DOUBLE).verdict == "wrong"
    assert ruled(program, PRINTS).verdict == "wrong"


def test_a_setup_is_there_for_the_program_and_its_names_are_not_the_programs() -> None:
    program = "from __future__ import annotations\nclass Solution:\n    def gcd(self, a: List[int]) -> int: return len(a)"
    check = {"setup": "from typing import *\nfrom math import *", "function": "gcd", "tests": [{"args": [[1, 2]], "output": 2}]}
    assert ruled(program, check).verdict == "right"
    assert ruled("def gcd(a): return a[0]", {**check, "tests": [{"args": [[7]], "output": 7}]}).verdict == "right"


def test_numbers_of_any_length_can_be_returned() -> None:
    program = "def f(n): return 10 ** n"
    check = {"asserts": ["assert f(5000) == 10 ** 5000", "assert f(2) == 100"]}
    assert ruled(program, {"asserts": check["asserts"][1:]}).verdict == "right"
    (outcome,) = run_in_jail(program, [Run(call="f", args=(5000,))], 30.0)
    assert (outcome.kind, decoded(outcome.value)) == ("done", 10**5000)


def test_what_is_not_true_fails_an_assert_of_its_truth() -> None:
    assert ruled("def f(): return []", {"asserts": ["assert f()"]}).verdict == "wrong"
    assert ruled("def f(): return 'no'", {"asserts": ["assert not f()"]}).verdict == "wrong"


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import time; time.sleep(99)",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "rows = []\nwhile True: rows.append(bytearray(10**7))",
        "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.kill(1, 9)\nos.kill(-1, 9)\nwhile True: pass",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\n1/0",
        "while True: print('x' * 10000)",
        "file = open('x', 'wb')\nwhile True: file.write(b'0' * 10**6)",
        "import sys; sys.setrecursionlimit(10**9)\ndef f(): f()\nf()",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
        "input()",
    ],
)
def test_no_program_holds_the_machine_up_or_leaves_a_process(program: str) -> None:
    began, others = time.monotonic(), processes_of_jails()
    outcome = run(program, 0.5)
    assert outcome.kind in ("failed", "timeout")
    assert time.monotonic() - began < 60
    left = processes_of_jails() - others
    # What another test runs beside this one ends soon.
    assert eventually(lambda: not left & processes_of_jails(), 30), left


def processes_of_jails() -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"verify/jailer.py" in (entry / "cmdline").read_bytes():
                found.add(entry.name)
        except OSError:
            continue
    return found


def test_the_runs_of_a_program_share_a_jail_and_nothing_else() -> None:
    program = """
import os, time
try: os.kill(-1, 0); left = ["a process"]
except ProcessLookupError: left = []
left += os.listdir(".")
open("x", "w").close()
if os.fork() == 0:
    os.setsid(); time.sleep(60); os._exit(0)
"""
    outcomes = run_in_jail(
        program, [Run(expression=f"(left, input() == '{n}', os.getpid())", stdin=str(n)) for n in range(3)], 30.0
    )
    assert [outcome.kind for outcome in outcomes] == ["done"] * 3
    values = [outcome.value["tuple"] for outcome in outcomes]
    assert [value[:2] for value in values] == [[{"list": []}, True]] * 3
    assert len({pid for *_, pid in values}) == 3, "a jail of its own would begin to count anew"


def test_each_run_has_its_time_and_one_that_is_late_is_the_last() -> None:
    began = time.monotonic()
    outcomes = run_in_jail(
        "import time\nif input(): time.sleep(999)", [Run("\n"), Run("\n"), *[Run("x")] * 20], 10.0
    )  # fmt: skip
    assert [outcome.kind for outcome in outcomes] == ["done", "done", "timeout"]
    assert time.monotonic() - began < 10 * 20


def test_nothing_outside_can_be_written_and_little_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    program = f"""
import os, sys, tempfile
outcomes = []
def tried(what):
    try: outcomes.append(what())
    except Exception: outcomes.append("refused")
tried(lambda: open({str(secret)!r}).read())
tried(lambda: open("/etc/passwd").read())
tried(lambda: os.listdir({str(Path.home())!r} + "/.ssh"))
for path in ("/x", "/usr/x", os.path.dirname(os.__file__) + "/x", {str(tmp_path / "x")!r}, "/tmp/x", "/dev/shm/x"):
    tried(lambda: open(path, "w").write("x"))
tried(lambda: os.chmod(os.__file__, 0o777))
tried(lambda: os.listdir("/proc"))
tried(lambda: [key for key in os.environ if key not in ("HOME", "PATH", "LANG", "PYTHONHASHSEED", "LC_CTYPE")] or "refused")
tried(lambda: os.setuid(0) if os.getuid() else "refused")
print(outcomes)
"""
    outcome = run(program, 30.0)
    assert outcome.kind == "done"
    assert set(eval(outcome.stdout)) == {"refused"}
    assert secret.read_text() == "s3cret"


def test_limits_that_each_process_has_are_not_got_round_by_many_processes_or_by_memory_of_no_process() -> None:
    program = """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
started = 0
try:
    while started < 40:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        started += 1
except OSError:
    pass
few = started < 10
shared = libc.shmget(0, 1 << 20, 0o1600) < 0
try:
    os.memfd_create("x")
    in_memory = False
except PermissionError:
    in_memory = True
"""
    (outcome,) = run_in_jail(program, [Run(expression="(few, shared, in_memory)")], 30.0)
    assert (outcome.kind, outcome.value) == ("done", {"tuple": [True, True, True]})


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)"
        assert run(program, 30.0).kind == "failed"
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()
    assert run("import socket\nprint(socket.if_nameindex())", 30.0).stdout.strip() == "[(1, 'lo')]"


def test_nothing_is_left_of_a_jail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("open('x', 'w').write('x')", 30.0).kind == "done"
    assert run("while True: pass", 3.0).kind == "timeout"
    assert os.listdir(tmp_path) == []


def test_output_is_compared_by_words_and_numbers_by_value() -> None:
    assert same_output("1 2.0\nyes\n\n", "1.0 2\nyes")
    assert not same_output("1 2\nyes", "1\n2\nyes")
    assert not same_output("sNaN", "NaN")
    assert not same_output("1e999999999", "1e999999998")


def test_the_last_python_block_is_the_program() -> None:
    assert last_program("```python\na\n```\n```py\nb\n```\n```text\nc\n```") == "b\n"
    assert last_program("no block") is None
    assert last_program("```python\nnever closed") is None
    began = time.process_time()
    assert last_program("```a\n" * 200_000) is None
    assert time.process_time() - began < 10


@pytest.mark.parametrize("asserts", [["assert f() == g()"], ["print(1)"], ["assert ("], ["assert 1 < f() < 3"]])
def test_tests_that_cannot_be_compared_from_outside_give_no_verdict(asserts: list[str]) -> None:
    assert ruled("def f(): return 2\ng = f", {"asserts": asserts}).verdict == "unknown"
