"""Runs `r1chat bench` beside two other servers on the same file: llama-server, and llama_cpp.server.

    python tests/outside/peers.py [--peers FOLDER] [options of r1chat bench]

Their packages go into venvs of their own under FOLDER (default: r1chat-peers beside the checkout, or
$R1CHAT_PEERS), never into the project's. llama-server is llama.cpp's, run inside Python by the package
xllamacpp, with 8 slots in one unified cache; llama_cpp.server comes with the llama.cpp of the project's
own venv and serves one request at a time, so it takes part in `short` alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from r1chat.app.commands.bench_model import add_model_options, resolve_model

XLLAMACPP = "xllamacpp==2026.10.11549"
SERVER_EXTRAS = ("sse-starlette>=1.6", "starlette-context>=0.3.6", "pydantic-settings>=2", "PyYAML>=5")
CONTEXT = 8192
_START_S = 300.0

LLAMA_SERVER = f"""
import sys, threading, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.n_parallel, params.kv_unified, params.n_ctx = 8, True, {CONTEXT}
server = xllamacpp.Server(params)
threading.Event().wait()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=_default_folder(), metavar="FOLDER", help="where the venvs are")
    add_model_options(parser)
    args, bench_options = parser.parse_known_args()
    model = resolve_model(args)
    with ExitStack() as stack:
        first = stack.enter_context(_server(_llama_server(args.peers), model))
        second = stack.enter_context(_server(_llama_cpp_server(args.peers), model))
        against = ["--against", f"llama-server={first}", "--against", f"llama_cpp.server={second}#short"]
        return _bench(["--model", str(model), *against, *bench_options])


def _bench(options: list[str]) -> int:
    """Ctrl-C reaches the benchmark as well, and it has a report to print; SIGTERM is handed on."""
    bench = subprocess.Popen([sys.executable, "-m", "r1chat.app", "bench", *options])
    signal.signal(signal.SIGTERM, lambda *_: bench.terminate())
    while True:
        try:
            return bench.wait()
        except KeyboardInterrupt:
            pass


def _default_folder() -> Path:
    return Path(os.environ.get("R1CHAT_PEERS") or Path(__file__).resolve().parents[3] / "r1chat-peers")


def _llama_server(folder: Path) -> list[str]:
    python = _python(folder / "venv", "xllamacpp", (XLLAMACPP,))
    return [python, "-c", LLAMA_SERVER, "MODEL", "PORT"]


def _llama_cpp_server(folder: Path) -> list[str]:
    """The project's own llama_cpp, seen from a venv that adds what its server wants besides."""
    python = _python(folder / "server", "llama_cpp.server.app", SERVER_EXTRAS, also=sysconfig.get_path("purelib"))
    # Its own choice would be half of the cores, and a new request would end the one before.
    threads = str(len(os.sched_getaffinity(0)))
    options = ["--n_ctx", str(CONTEXT), "--n_threads", threads, "--interrupt_requests", "False"]
    return [python, "-m", "llama_cpp.server", "--model", "MODEL", "--port", "PORT", *options]


def _python(folder: Path, module: str, packages: tuple[str, ...], also: str | None = None) -> str:
    """The interpreter of a venv in which `module` can be imported; made, and filled, where it is not so yet."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if also:
        site = next((folder / "lib").glob("python*/site-packages"))
        (site / "project.pth").write_text(f"{also}\n")
    if subprocess.call([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL):
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", *packages])
    return str(python)


@contextmanager
def _server(command: list[str], model: Path) -> Iterator[str]:
    """The server on a free port for as long as the block runs; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    places = {"MODEL": str(model), "PORT": str(port)}
    # Ctrl-C is for the benchmark, which reports what it has; the servers go when it has ended.
    process = subprocess.Popen(
        [places.get(word, word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            # a server that is up but still loading answers with an error
            urllib.request.urlopen(f"{url}/v1/models", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"{process.args!r} does not serve")


if __name__ == "__main__":
    sys.exit(main())
