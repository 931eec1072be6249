"""Is there room? Asked before anything is written, and answered in one sentence."""

import errno
import shutil
from pathlib import Path

from services.local.errors import LocalPartError

NEEDED_BYTES = 2 * 1024**3
_GIB = 1024**3


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk that holds `folder`, or will hold it."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def require_space(folder: Path, needed_bytes: int = NEEDED_BYTES) -> None:
    """Raises LocalPartError if fewer than `needed_bytes` are free where `folder` is."""
    free = free_bytes(folder)
    if free < needed_bytes:
        raise LocalPartError(
            f"the disk of {folder} has {free / _GIB:.1f} GiB free and "
            f"{needed_bytes / _GIB:.1f} are needed: free some, "
            "or put it elsewhere with MAWJA_HOME (runs) or XDG_CACHE_HOME (Kafka's jars)"
        )


def is_full(error: BaseException | None) -> bool:
    """True if this error, or one that it came from, is a full disk or quota."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        error = error.__cause__ or error.__context__
    return False
