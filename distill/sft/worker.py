"""Trains a job in a process that accelerate started: `python -m r1chat.distill.sft.worker JOB_JSON`.

The first process tells its steps on stdout, a line of JSON each, and leaves outcome.json. All of them stop at the
end of a step once there is a file called `stop`.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ...serve.files import replace_file
from ..errors import DistillError
from .job import Job, read_job
from .launch import MARK, OUTCOME, STOP


def main(path: Path) -> int:
    job = read_job(path)
    try:
        _work(job)
    except KeyboardInterrupt:
        return 0  # as it was asked to
    except DistillError as error:
        _tell({"error": str(error)})
        return 1
    return 0


def _work(job: Job) -> None:
    from .trainer import train

    outcome = train(job, lambda step, numbers: _tell({"step": step, "numbers": numbers}), (job.folder / STOP).exists)
    if int(os.environ.get("RANK", "0")) == 0:
        with replace_file(job.folder / OUTCOME) as aside:
            aside.write_text(json.dumps(asdict(outcome)), encoding="utf-8")


def _tell(message: dict[str, object]) -> None:
    """Fails, and ends this process with that, when nobody listens any more."""
    print(MARK + json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
