"""Documents in a folder: a temporary file beside its target, then a rename, under the outlet's fence.

No component of a path is ever followed through a symbolic link, so nothing can lead out of the root. Nothing is
synced: after an unclean stop documents are checked against their hashes and made again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.backends.contract import Stat, components
from pipeline.kit.fence import Fence, Stale
from pipeline.model.errors import ConfigError, FenceLost, Permanent, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.backends.contract import Target

_TEMPORARY = ".tmp-"
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a pipe in a document's place must not hang us
_RESERVE = getattr(os, "posix_fallocate", None)  # macOS has none
_CANNOT_RESERVE = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_LARGE = 65_536  # bytes; a page is less, and mostly new, so that nothing is replaced
_WRONG_KIND = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EMLINK, errno.ENAMETOOLONG, errno.ENXIO})


class LocalBackend:
    """See `contract.Backend`. Files are 0644 and folders 0755, less the process's umask."""

    gone = "marker"

    def __init__(self, root: Path, fence_name: str = "") -> None:
        """Keep the root; it is made by the first put."""
        self._root = root
        self._fence_name = fence_name
        self._fence = Fence(str(root / f".fence-{re.sub('[^A-Za-z0-9._-]', '_', fence_name)}"))

    def put(self, path: str, body: bytes, media_type: str, fence: int) -> None:  # noqa: ARG002  # the name's suffix says the type
        """Store the bytes atomically. Raises FenceLost, Transient (full disk and the like), Permanent."""
        *folders, name = components(path)
        with _consequences(path), self._folder(folders, make=True) as folder:
            temporary = f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(6)}"
            try:
                file = os.open(temporary, _FRESH, 0o644, dir_fd=folder)
                try:
                    _write_all(file, body)
                finally:
                    os.close(file)
                with self._held(fence):
                    os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise

    def mounted(self) -> bool:
        """Whether the folder is there and somebody wrote to it under this outlet's fence."""
        return self._fence.path.exists()

    def get(self, path: str) -> bytes | None:
        """The bytes, or None where nothing is stored. Raises Transient, Permanent."""
        with _consequences(path), self._file(path) as descriptor:
            if descriptor is None:
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read()

    def stat(self, path: str) -> Stat | None:
        """Size and time, or None where nothing is stored. Raises Transient, Permanent."""
        with _consequences(path), self._file(path) as descriptor:
            if descriptor is None:
                return None
            found = os.fstat(descriptor)
            return Stat(found.st_size, found.st_mtime_ns)

    def delete(self, path: str, fence: int) -> None:
        """Remove the file; its folder stays. Raises FenceLost, Transient, Permanent."""
        *folders, name = components(path)
        with _consequences(path), contextlib.suppress(FileNotFoundError), self._folder(folders) as folder, self._held(fence):
            os.unlink(name, dir_fd=folder)

    def sweep(self, older_than_seconds: float, now: float) -> int:
        """Remove temporary files of writers that died, by their age at `now` (epoch seconds); how many they were."""
        removed = 0
        if not self._root.is_dir():
            return removed
        for _, _, names, folder in os.fwalk(self._root):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    if name.startswith(_TEMPORARY) and os.stat(name, dir_fd=folder).st_mtime < now - older_than_seconds:
                        os.unlink(name, dir_fd=folder)
                        removed += 1
        return removed

    @contextlib.contextmanager
    def _held(self, fence: int) -> Iterator[None]:
        try:
            with self._fence.held(fence):
                yield
        except Stale as stale:
            message = f"Fence {fence} is behind {stale.kept}: another run writes {self._fence_name or 'here'} now"
            raise FenceLost(message, stale.kept) from None

    @contextlib.contextmanager
    def _folder(self, folders: list[str], *, make: bool = False) -> Iterator[int]:
        """A descriptor of a folder below the root, walked to one component at a time."""
        try:
            here = os.open(self._root, _ROOT)
        except FileNotFoundError:
            if not make:
                raise
            self._root.mkdir(parents=True, exist_ok=True)
            here = os.open(self._root, _ROOT)
        try:
            for name in folders:
                above, here = here, _step(here, name, make=make)
                os.close(above)
            yield here
        finally:
            os.close(here)

    @contextlib.contextmanager
    def _file(self, path: str) -> Iterator[int | None]:
        *folders, name = components(path)
        try:
            with self._folder(folders) as folder:
                descriptor = os.open(name, _READ, dir_fd=folder)
        except FileNotFoundError:
            yield None
            return
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise IsADirectoryError(errno.EISDIR, "no regular file")
            yield descriptor
        finally:
            os.close(descriptor)


def _step(above: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=above)
    return os.open(name, _FOLDER, dir_fd=above)


def _make_room(descriptor: int, size: int) -> None:
    """Reserve the blocks of a large file before it is written.

    A disk too full for it says so now. And where ext4 renames a file over another it first writes it out to the disk, unless
    its blocks were there before (ext4(5), auto_da_alloc): that was half of what a document cost. Raises OSError.
    """
    if _RESERVE is None or size < _LARGE:
        return
    try:
        _RESERVE(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _CANNOT_RESERVE:
            raise


def _write_all(descriptor: int, body: bytes) -> None:
    _make_room(descriptor, len(body))
    left = memoryview(body)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def _consequences(path: str) -> Iterator[None]:
    """Errors of the file system by what follows from them: a wrong kind of file stays wrong, the rest may heal."""
    try:
        yield
    except OSError as error:
        message = f"{path}: {error.strerror or error}"
        raise (Permanent(message) if error.errno in _WRONG_KIND else Transient(message)) from error


def open_target(target: Target) -> LocalBackend:
    """The backend over that folder. Raises ConfigError when none is named."""
    if not target.root_or_url:
        message = "A local backend needs a folder (target)."
        raise ConfigError(message)
    return LocalBackend(Path(target.root_or_url), target.fence_name)
