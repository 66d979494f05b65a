"""How many CPUs the control group of this process may use (Linux; containers set it)."""

from __future__ import annotations

import posixpath


def cpu_limit(proc: str = "/proc", sys: str = "/sys") -> float | None:
    """CPUs that the tightest limit of the control groups around this process allows.

    Reads versions 1 and 2. None without a limit, or where there are no control groups.
    """
    text = _read(f"{proc}/self/cgroup")
    limits = [_limit(folder) for line in text.splitlines() for folder in _folders(line, sys)]
    return min((limit for limit in limits if limit is not None), default=None)


def _folders(line: str, sys: str) -> list[str]:
    """Folders that may limit the group of one line of ``/proc/self/cgroup``, up to the root."""
    parts = line.split(":", 2)
    if len(parts) != 3:
        return []
    _, controllers, path = parts
    if not controllers:
        roots = ["", "unified"]
    elif "cpu" in controllers.split(","):
        roots = [controllers, "cpu"]
    else:
        return []
    # A container may see the path of its group from the outside, and its group as the root: what
    # does not exist is skipped.
    path = posixpath.normpath("/" + path.lstrip("/"))
    groups = [path]
    while path != "/":
        path = posixpath.dirname(path)
        groups.append(path)
    return [posixpath.join(sys, "fs/cgroup", root, group[1:]) for root in roots for group in groups]


def _limit(folder: str) -> float | None:
    fields = _read(posixpath.join(folder, "cpu.max")).split()  # version 2: quota and period
    if not fields:
        quota = _read(posixpath.join(folder, "cpu.cfs_quota_us"))
        fields = [quota, _read(posixpath.join(folder, "cpu.cfs_period_us"))]
    try:
        quota_us, period_us = (int(field) for field in fields)
    except ValueError:  # "max", or no such file
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
