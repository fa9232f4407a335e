"""What the bodies of the page's routes have in common: strict fields, and settings that a client may give in part."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict

from ....serve.errors import InvalidRequestError
from ...conversations.limits import check_settings
from ...conversations.records import Settings


class Strict(BaseModel):
    """No field is guessed, none is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def changed_settings(before: Settings, given: dict[str, Any]) -> Settings:
    """`before` with what is given. Raises InvalidRequestError."""
    try:
        settings = msgspec.convert({**msgspec.to_builtins(before), **given}, Settings)
        # Half a surrogate pair is no character, and cannot be kept.
        msgspec.json.encode(settings)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidRequestError(f"Settings: {error}", "settings") from None
    return check_settings(settings)
