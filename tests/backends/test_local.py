"""What only a folder can get wrong: links, half-written files, full disks, leftovers, fences across processes."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.backends import local
from pipeline.backends.local import LocalBackend
from pipeline.kit.fence import Fence, Stale
from pipeline.model.errors import FenceLost, Permanent, Transient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE = bytes(range(256)) * 300


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    """Neither as a folder nor as the file itself; a put replaces the link and leaves its target alone."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    root = tmp_path / "root"
    backend = LocalBackend(root)
    backend.put("first", b"", "text/plain", 1)
    (root / "dir").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    for path in ("dir/secret", "file"):
        with pytest.raises(Permanent):
            backend.get(path)
    acts: list[Callable[[], None]] = [
        lambda: backend.put("dir/new", b"x", "text/plain", 1),
        lambda: backend.delete("dir/secret", 1),
    ]
    for act in acts:
        with pytest.raises(Permanent):
            act()
    backend.put("file", b"ours", "text/plain", 1)
    assert (outside / "secret").read_text() == "secret"
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert backend.get("file") == b"ours"


def test_a_pipe_in_a_documents_place_does_not_hang(tmp_path: Path) -> None:
    """It is no document."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Permanent):
        LocalBackend(tmp_path).get("pipe")


def test_a_folder_in_a_documents_place_is_permanent(tmp_path: Path) -> None:
    """Nobody but a person can put that right; no temporary file stays behind."""
    backend = LocalBackend(tmp_path)
    backend.put("a/b", b"", "text/plain", 1)
    with pytest.raises(Permanent):
        backend.put("a", b"x", "text/plain", 1)
    with pytest.raises(Permanent):
        backend.put("a/b/c", b"x", "text/plain", 1)
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".tmp-")]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_document_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Transient, the old bytes intact, nothing left over; the next put works."""
    backend = LocalBackend(tmp_path)
    backend.put("feed.rss", b"old", "application/rss+xml", 1)

    def fail(_fd: int, data: memoryview) -> int:
        if len(data) > 2:
            return os.pwrite(_fd, data[:2], 0)
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.backends.local.os.write", fail)
        with pytest.raises(Transient, match=os.strerror(code)):
            backend.put("feed.rss", b"new!", "application/rss+xml", 1)
    assert backend.get("feed.rss") == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".fence-", "feed.rss"]
    backend.put("feed.rss", b"new!", "application/rss+xml", 1)
    assert backend.get("feed.rss") == b"new!"


def test_readers_never_see_half_a_document(tmp_path: Path) -> None:
    """While it is replaced again and again, every read is one whole version."""
    backend = LocalBackend(tmp_path)
    versions = [bytes([digit]) * 200_000 for digit in b"abcd"]
    backend.put("feed", versions[0], "text/plain", 1)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            backend.put("feed", versions[number % 4], "text/plain", 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {backend.get("feed") for _ in range(300)}
    finally:
        stop.set()
        writer.join()
    assert seen <= set(versions)
    assert len(seen) > 1


def test_files_can_be_read_by_the_web_server(tmp_path: Path) -> None:
    """0644 and 0755, less the umask."""
    before = os.umask(0o027)
    try:
        LocalBackend(tmp_path).put("a/b", b"x", "text/plain", 1)
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750


def test_sweep_removes_only_old_leftovers(tmp_path: Path) -> None:
    """A temporary file of a writer at work, and every document, stays."""
    backend = LocalBackend(tmp_path)
    backend.put("a/b", b"x", "text/plain", 1)
    for name, age in (("a/.tmp-1-old", 700), (".tmp-2-old", 601), ("a/.tmp-3-new", 10)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (1_000_000 - age,) * 2)
    assert backend.sweep(600, 1_000_000) == 2
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".fence-", ".tmp-3-new", "a", "b"]
    assert LocalBackend(tmp_path / "absent").sweep(600, 1_000_000) == 0


def test_a_cleared_folder_begins_anew(tmp_path: Path) -> None:
    """Two backends find each other again after the fence file was removed under them."""
    root = tmp_path / "root"
    one, two = LocalBackend(root, "o"), LocalBackend(root, "o")
    one.put("a", b"", "text/plain", 5)
    two.put("a", b"", "text/plain", 5)
    for path in root.iterdir():
        path.unlink()
    root.rmdir()
    one.put("a", b"one", "text/plain", 3)
    with pytest.raises(FenceLost):
        two.put("a", b"two", "text/plain", 2)
    assert two.get("a") == b"one"


@pytest.mark.parametrize("text", [b"", b"rubbish", b"\0" * 20])
def test_a_fence_that_cannot_be_read_begins_anew(tmp_path: Path, text: bytes) -> None:
    """Power loss may leave it empty; the ledger's own fence still holds."""
    (tmp_path / "f").write_bytes(text)
    with Fence(str(tmp_path / "f")).held(4):
        pass
    with pytest.raises(Stale, match="4"), Fence(str(tmp_path / "f")).held(3):
        pass


def test_a_writer_stopped_under_the_lock_does_not_hang_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They give up after a while and try again later."""
    monkeypatch.setattr("pipeline.kit.fence._WAIT_SECONDS", 0.2)
    backend = LocalBackend(tmp_path, "o")
    backend.put("a", b"1", "text/plain", 1)
    with (tmp_path / ".fence-o").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(Transient):
            backend.put("a", b"2", "text/plain", 1)
        assert time.monotonic() - began < 2
    backend.put("a", b"3", "text/plain", 1)
    assert backend.get("a") == b"3"


def _write_rising(root: Path, fences: range) -> None:
    backend = LocalBackend(root, "o")
    for fence in fences:
        try:
            backend.put("a", str(fence).encode(), "text/plain", fence)
        except FenceLost:
            continue


def test_across_processes_the_highest_fence_stands(tmp_path: Path) -> None:
    """Whatever the order in which they run, the last document is that of the highest number."""
    fork = multiprocessing.get_context("fork")
    inherited = LocalBackend(tmp_path, "o")
    inherited.put("a", b"0", "text/plain", 0)
    workers = [fork.Process(target=_write_rising, args=(tmp_path, range(start, 400, 4))) for start in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert inherited.get("a") == b"399"


def test_a_put_under_a_fence_is_cheap(tmp_path: Path) -> None:
    """Well under a millisecond each on anything this runs on; no file is synced."""
    backend = LocalBackend(tmp_path, "o")
    backend.put("a/b/c", b"x" * 4096, "text/plain", 1)
    began = time.perf_counter()
    for _ in range(200):
        backend.put("a/b/c", b"x" * 4096, "text/plain", 1)
    assert (time.perf_counter() - began) / 200 < 0.01


def test_a_disk_too_full_for_a_large_document_says_so_before_a_byte_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old document stays whole, no temporary file is left, and the next try may do better."""
    backend = LocalBackend(tmp_path, "f")
    backend.put("big.bin", LARGE, "x/y", 1)
    monkeypatch.setattr(local, "_RESERVE", _refusing(errno.ENOSPC))
    with pytest.raises(Transient, match="No space left"):
        backend.put("big.bin", LARGE[::-1], "x/y", 1)
    assert backend.get("big.bin") == LARGE
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_reserves_nothing_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Reserving is for speed; without it a document is as good."""
    monkeypatch.setattr(local, "_RESERVE", _refusing(number))
    backend = LocalBackend(tmp_path, "f")
    backend.put("big.bin", LARGE, "x/y", 1)
    assert backend.get("big.bin") == LARGE


def _refusing(number: int) -> Callable[..., None]:
    def reserve(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    return reserve
