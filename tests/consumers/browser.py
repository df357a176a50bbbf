"""A browser without a window, that looks at one page."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--headless",
    "--no-sandbox",  # its sandbox refuses to run for root, as in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--mute-audio",  # behind what the page listens to: nobody at this machine need hear the tones
    "--autoplay-policy=no-user-gesture-required",
)


def chromium() -> str | None:
    """The path of Chromium or Chrome; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def looking_at(url: str, program: str, home: Path) -> Iterator[Path]:
    """A browser that shows ``url`` as long as the block lasts.

    Args:
        url: The page.
        program: The browser.
        home: An empty folder for all it wants to keep.

    Yields:
        The file it writes its complaints to.
    """
    complaints = home / "stderr.txt"
    command = [program, *_QUIET, f"--user-data-dir={home / 'profile'}", url]
    with complaints.open("wb") as stderr:
        browser = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, "HOME": str(home)},
        )
        try:
            yield complaints
        finally:
            _end(browser)


def _end(browser: subprocess.Popen[bytes]) -> None:
    browser.terminate()
    try:
        browser.wait(10)
    except subprocess.TimeoutExpired:
        browser.kill()
        browser.wait(10)
