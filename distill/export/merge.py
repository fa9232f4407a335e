"""An adapter becomes part of its base: a whole student, in the numbers that the base is stored in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ...serve.files import put_in_place
from ..base.stage import folder_hash
from ..errors import DistillError, quoted
from ..hf.quiet import quiet
from ..run_folder import RunFolder
from ..sft.formats import write_format

_NOTE = "merged.json"


def merge(folder: RunFolder) -> Path:
    """The student's folder, made of the base and the adapter unless it was made of these already.

    The base is loaded as it is stored, in 16 or 32 bits, also where the adapter was trained on four: merged into
    four, it would be rounded away. Raises DistillError where the sum is no model.
    """
    base = folder.read_json(folder.base_record)
    note = {"base": base.get("sha256") or folder_hash(Path(base["path"])), "adapter": folder_hash(folder.adapter)}
    if folder.read_json(folder.student / _NOTE) == note:
        return folder.student
    aside = folder.root / "student.part"
    shutil.rmtree(aside, ignore_errors=True)
    _merge(Path(base["path"]), folder.adapter, aside)
    write_format(Path(base["path"]), aside)
    (aside / _NOTE).write_text(json.dumps(note), encoding="utf-8")
    shutil.rmtree(folder.student, ignore_errors=True)
    put_in_place(aside, folder.student)
    return folder.student


def _merge(base: Path, adapter: Path, out: Path) -> None:
    import torch

    with quiet(), torch.inference_mode():
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True)
        whole = PeftModel.from_pretrained(model, str(adapter)).eval()
        try:
            merged = whole.merge_and_unload(safe_merge=True)
        except ValueError as error:
            raise DistillError(
                f"The adapter {adapter} holds values that are no numbers ({str(error).splitlines()[0]:.100}). "
                f"Train again with a lower rate: r1chat distill sft --run-dir {quoted(adapter.parent)}"
            ) from error
        merged.save_pretrained(out)
