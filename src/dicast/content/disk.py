"""What a disk that refuses means for whoever keeps blobs on it, and what helps."""

from __future__ import annotations

import errno

from dicast.base.errors import AdapterError

_FULL = "Free some space, lower content.quota_bytes, or set content.folder to a larger disk."
_CLOSED = "Make the folder writable for this user, or set content.folder."
_NO_FOLDER = "Make content.folder a folder, or name another one."
_HELP = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "The file system takes no file this large: set content.folder to another one.",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EISDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
    errno.ENOENT: "Something removed it meanwhile: try again, and leave content.folder to dicast.",
    errno.EMFILE: "Too many files are open: raise the limit (`ulimit -n`).",
    errno.ENFILE: "Too many files are open on this machine.",
}
_OTHER = "Look at the disk and the system's log, or set content.folder to another disk."


def disk_error(error: OSError) -> AdapterError:
    """The error `blob_disk` with the advice that fits."""
    reason = error.strerror or type(error).__name__
    place = error.filename or "The blobs"
    return AdapterError("blob_disk", f"{place}: {reason}.", _HELP.get(error.errno or 0, _OTHER))
