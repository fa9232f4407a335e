"""What a command can end with besides the errors of the serving side."""

from ..serve.errors import R1ChatError


class CommandError(R1ChatError):
    """A command failed; `status` is for the shell, the text for a person."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UsageError(CommandError):
    """The arguments ask for something that cannot be. The text ends with what to type instead."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 2)
