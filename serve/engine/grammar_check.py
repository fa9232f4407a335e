"""Tries a grammar in a process of its own: some schemas that look harmless keep llguidance busy for ever.

Run as a module it is that process: a grammar on its standard input, what is wrong with it on its output.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress

from llguidance import LLMatcher, LLParserLimits

from ..errors import EngineError

# So much work is done for one token, some tens of milliseconds at the worst; a state takes 1 to 2 kB.
LIMITS = LLParserLimits(
    initial_lexer_fuel=300_000,
    step_lexer_fuel=100_000,
    step_max_items=20_000,
    max_lexer_states=30_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
_CPU_S = 2
_MAX_BYTES = 1024**3
# The machine may be busy; what counts is the time that the process itself takes.
_PATIENCE_S = 15.0
_NO_END = "it takes too long to compile"


def refusal(source: str) -> str:
    """What is wrong with a grammar in llguidance's own form, "" if nothing is. Takes a tenth of a second and up."""
    command = [sys.executable, "-P", "-m", __name__]
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return _NO_END
    except OSError as error:  # the system starts no process any more
        raise EngineError(f"The answer's form cannot be tried now ({error.strerror}).") from error
    return done.stdout.decode(errors="replace") if done.returncode == 0 else _NO_END


def main() -> None:
    _bound_itself()
    is_wrong, messages = LLMatcher.validate_grammar_with_warnings(sys.stdin.buffer.read().decode(), limits=LIMITS)
    sys.stdout.buffer.write((messages[0] if is_wrong else "").encode())


def _bound_itself() -> None:
    """Gives way to the engine, and is ended by the system when it has had its time."""
    with suppress(ImportError, OSError, ValueError):
        import os
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_BYTES, _MAX_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(10)


if __name__ == "__main__":
    main()
