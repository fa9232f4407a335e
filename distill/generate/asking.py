"""Gets replies out of a teacher through what networks, rate limits and restarts do.

What holds for one request only (its prompt is too long) is told apart from what holds for all (a wrong key), and
what passes (too many requests, a server that starts again) from what stays.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

from ...serve.client import ApiError, Client, Completion, ServerUnreachableError
from ..errors import DistillError

REFUSED = (400, 413, 422)  # this request as it is
TRIES = 8  # of a request that fails while others get their replies
REFUSALS = 8  # with no reply among them: it is not the single prompt


@dataclass(frozen=True)
class Patience:
    """In seconds: the first wait, which doubles with each failure; the longest that we choose ourselves; and how
    long nobody may get a reply before the run gives up.
    """

    first_s: float = 0.5
    longest_s: float = 60.0
    give_up_s: float = 900.0


class NotAnsweredError(Exception):
    """This one request gets no reply; the text says why. `passes`: another time it may."""

    def __init__(self, reason: str, *, passes: bool) -> None:
        super().__init__(reason)
        self.passes = passes


class _Failure(Exception):
    """Something that may pass. `counts` says that it speaks against the request; `wait_s` is what was asked for."""

    def __init__(self, reason: str, *, counts: bool, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.counts = counts
        self.wait_s = wait_s


class Asker:
    """Asks one teacher for many replies at once. `fields` go into every request; `again` is the command that goes
    on with the run, for errors.
    """

    def __init__(self, client: Client, fields: dict[str, Any], again: str, patience: Patience | None = None) -> None:
        self._client = client
        self._fields = fields
        self._again = again
        self._patience = patience or Patience()
        self._seeds = True
        self._n_answered = 0
        self._n_refused = 0
        self._n_asking = 0
        self._trouble_since: float | None = None
        self._resume_at = 0.0

    @property
    def resting(self) -> bool:
        """Whether the teacher wants to be asked nothing for a while."""
        return self._resume_at > time.monotonic()

    async def ask(self, messages: list[dict[str, Any]], seed: int) -> Completion:
        """The whole reply. Raises NotAnsweredError, and DistillError where no request would get one."""
        fails = waits = 0
        answered_before = self._n_answered
        while True:
            await self._wait_for_all()
            try:
                return await self._try(messages, seed)
            except _Failure as failure:
                waits += 1
                fails += failure.counts
                if fails >= TRIES and self._n_answered > answered_before:
                    raise NotAnsweredError(str(failure), passes=True) from failure
                await self._rest(waits, failure)

    async def _wait_for_all(self) -> None:
        while self.resting:
            wait = self._resume_at - time.monotonic()
            await asyncio.sleep(wait + random.uniform(0, self._patience.first_s))

    async def _try(self, messages: list[dict[str, Any]], seed: int) -> Completion:
        sent = {"seed": seed} if self._seeds else {}
        self._n_asking += 1
        try:
            reply = await self._client.complete(messages, **self._fields, **sent)
        except ApiError as error:
            raise self._judge(error, sent) from error
        except ServerUnreachableError as error:
            raise _Failure(str(error), counts=True) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _Failure(f"the reply is not of the API's form ({error})", counts=True) from error
        finally:
            self._n_asking -= 1
        if not (reply.finish_reason or reply.content or reply.reasoning):
            raise _Failure("the reply is empty", counts=True)
        self._n_answered += 1
        self._trouble_since = None
        return reply

    def _judge(self, error: ApiError, sent: dict[str, int]) -> Exception:
        if error.status in REFUSED:
            return self._refusal(error, sent)
        if not error.passes:
            return DistillError(
                f"The teacher refuses to answer ({error.status}: {error.message}). {_mend(error.status)} {self._again}"
            )
        is_busy = 400 <= error.status < 500 or error.retry_after_s is not None
        return _Failure(error.message, counts=not is_busy, wait_s=error.retry_after_s)

    def _refusal(self, error: ApiError, sent: dict[str, int]) -> Exception:
        if sent and "seed" in error.message:
            self._seeds = False
            return _Failure(error.message, counts=False, wait_s=0.0)
        self._n_refused += 1
        if not self._n_answered and self._n_refused >= REFUSALS:
            return DistillError(
                f"The teacher refused each of {self._n_refused} requests ({error.status}: {error.message}). "
                f"Change what it is asked, then run: {self._again}"
            )
        return NotAnsweredError(error.message, passes=False)

    async def _rest(self, waits: int, failure: _Failure) -> None:
        """Until this request may be tried again. A wait that the server asked for holds for all of them."""
        if failure.wait_s == 0.0 and not failure.counts:
            return
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        if failure.wait_s is not None:
            self._resume_at = max(self._resume_at, now + failure.wait_s)
        own = min(self._patience.longest_s, self._patience.first_s * 2 ** min(waits - 1, 30)) * random.uniform(0.5, 1)
        wait = own + max(0.0, self._resume_at - now)
        # Who is being answered slowly is a sign of life.
        if not self._n_asking and now + wait - self._trouble_since > self._patience.give_up_s:
            raise DistillError(
                f"The teacher has not answered for {now - self._trouble_since:.0f} s and is not to be asked for "
                f"{wait:.0f} s more ({failure}). What it wrote is kept; go on with: {self._again}"
            ) from failure
        await asyncio.sleep(own)


def _mend(status: int) -> str:
    if status in (401, 403):
        return "Set the key: R1CHAT_TEACHER_KEY=..."
    if status == 402:
        return "Fill up the account there, then run:"
    return "Name a model that it has (--teacher-model), then run:"
