"""What only the command line can get wrong."""

from ..serve.errors import R1ChatError


class UsageError(R1ChatError):
    """The arguments ask for something that cannot be; exit status 2. The text ends with what to type instead."""
