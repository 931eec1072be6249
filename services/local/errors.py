"""The one error of the local parts: a sentence that says what is wrong and what to do about it.

The command line prints the message alone, so it must be enough without a traceback.
"""

from services.runtime.errors import MawjaError


class LocalPartError(MawjaError):
    """Stop: a part can't be started or has died; the message is one line and says what to do."""
