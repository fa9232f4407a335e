"""How fast a teacher would write here, before it is asked: most of a run's time may go to its answers."""

from __future__ import annotations

from ...distill.generate.teacher import is_url
from ...serve.errors import R1ChatError
from ...serve.models.catalog import hub_id, local_model
from ...serve.models.fit.machine import look
from ...serve.models.fit.outlook import outlook
from ...serve.models.fit.speed import read_rate, tokens_per_second
from ...serve.models.hub.variants import DEFAULT_QUANT
from ...serve.models.r1_models import R1_MODELS, alias_of


def teacher_pace(name: str) -> tuple[float, float] | None:
    """Tokens a second of one stream, from slow to fast; None behind a URL, and of a model that is not here and whose
    size only the hub knows. Asks no network.
    """
    if is_url(name):
        return None
    try:
        size = _bytes_of(name)
        machine = look()
    except R1ChatError:  # the run says what is wrong with it, and how to mend that
        return None
    if size is None:
        return None
    return tokens_per_second(outlook(size, 0, 1, machine), machine, read_rate())


def _bytes_of(name: str) -> int | None:
    if model := local_model(name):
        return model.size_bytes
    wanted = hub_id(name)
    alias = alias_of(wanted.repo) if wanted else None
    return R1_MODELS[alias].sizes.get((wanted.quant or DEFAULT_QUANT).upper()) if wanted and alias else None
