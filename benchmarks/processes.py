"""What a tree of processes costs: CPU seconds and memory, read from the kernel.

/proc and not a library: the proportional set size (PSS, each shared page counted once among its sharers) is the only
sum over forked processes that means anything, and CPU time must include the children a pool has ended.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """The process and everything below it, as far as it lives."""
    parents: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, work = [], [root]
    while work:
        pid = work.pop()
        found.append(pid)
        work += parents.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree so far, ended children included (proc(5): utime, stime, cutime, cstime)."""
    return sum(sum(map(int, fields[11:15])) for pid in tree(root) if (fields := _stat(pid))) / TICKS


def cpu_by_command(root: int) -> dict[str, float]:
    """The same, by what each process is."""
    made: dict[str, float] = {}
    for pid in tree(root):
        if fields := _stat(pid):
            name = name_of(pid)
            made[name] = made.get(name, 0.0) + sum(map(int, fields[11:15])) / TICKS
    return made


def pss_megabytes(root: int) -> dict[str, float]:
    """Proportional set size by what each process is, in 10**6 bytes."""
    made: dict[str, float] = {}
    for pid in tree(root):
        with suppress(OSError):
            lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            kilobytes = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            name = name_of(pid)
            made[name] = made.get(name, 0.0) + kilobytes * 1024 / 1e6
    return made


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command; empty where the process is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def name_of(pid: int) -> str:
    """What a process of the embedded profile is, by its command line."""
    with suppress(OSError):
        line = (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for words, name in (
            ("craft@", "craft"),
            ("reach@", "reach"),
            ("pipeline.web", "web"),
            ("appendonly", "broker"),
            ("unixsocket", "broker"),
        ):
            if words in line:
                return name
        if " up " in line:
            return "supervisor"
    return "other"
