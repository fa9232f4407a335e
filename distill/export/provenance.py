"""Where a student comes from, as its GGUFs and its card say it."""

from __future__ import annotations

from dataclasses import dataclass

from ...serve.files import sha256_of
from ..config import DistillConfig
from ..rows import content_id, teachers_of
from ..run_folder import RunFolder

# So many teachers are named; a set of traces from many models has the most frequent ones.
MAX_TEACHERS = 3


@dataclass(frozen=True)
class Provenance:
    """What is the same for all files of a run. `run` names the run: what it trained on, and what came of it."""

    run: str
    name: str
    base: str
    base_sha256: str
    licence: str
    teacher: str
    traces_sha256: str
    method: str

    def metadata(self) -> dict[str, str]:
        """As keys of a GGUF."""
        told = {
            "general.license": self.licence,
            "r1chat.run_id": self.run,
            "r1chat.base": self.base,
            "r1chat.base_sha256": self.base_sha256,
            "r1chat.teacher": self.teacher,
            "r1chat.traces_sha256": self.traces_sha256,
            "r1chat.method": self.method,
        }
        return {key: value for key, value in told.items() if value}


def provenance(config: DistillConfig, folder: RunFolder) -> Provenance:
    """Read from the run's folder; a part that is not there is "" (a folder with a trained student alone will do). What
    was trained on stands in sft.json: the traces beside it may have been sifted anew since.
    """
    base, trained = folder.read_json(folder.base_record), folder.read_json(folder.trained)
    traces = str(trained.get("kept_sha256") or sha256_of(folder.kept))
    teachers = trained.get("teachers") or teachers_of(folder.kept)
    return Provenance(
        run=content_id(str(folder.root.resolve()), traces, sha256_of(folder.trained)),
        name=config.name,
        base=str(base.get("name") or ""),
        base_sha256=str(base.get("sha256") or ""),
        licence=str(base.get("licence") or ""),
        teacher=", ".join(teachers[:MAX_TEACHERS]),
        traces_sha256=traces,
        method=str(trained.get("method") or trained.get("kind") or ""),
    )
