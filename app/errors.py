"""What a command can end with: a status for the shell, and errors besides those of the serving side."""

from enum import IntEnum

from ..serve.errors import R1ChatError


class Status(IntEnum):
    """As `r1chat --help` and the README tell them."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    NO_MODEL = 3
    NO_ROOM = 4
    NO_ANSWER = 5
    STOPPED = 130


class CommandError(R1ChatError):
    """A command failed; `status` is for the shell, the text for a person."""

    def __init__(self, message: str, status: int = Status.FAILED) -> None:
        super().__init__(message)
        self.status = status


class UsageError(CommandError):
    """The arguments ask for something that cannot be. The text ends with what to type instead."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Status.WRONG_USAGE)
