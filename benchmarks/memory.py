"""What a process holds (Linux only: /proc)."""

from __future__ import annotations

from pathlib import Path


def rss_mb(pid: int) -> float:
    """Resident set size in MB (2^20 bytes): with every shared library counted in full."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def pss_mb(pid: int) -> float:
    """Proportional set size in MB: pages shared with other processes count in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
