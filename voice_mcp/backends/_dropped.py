"""Whether ALSA has dropped a period that it was given, told by when it asked. Pure: it has no clock.

PortAudio asks ALSA for room, then has the period made, then writes it. Where the device has run dry meanwhile the write
is refused, and PortAudio starts the device anew with the period after it. That it ran dry is told with the next
request, as it is where that happened between two requests and every period was taken. What tells one from the other is
how long each took:

    ── written ──────── asked ──▶ made ─ refused ──── asked, "ran dry"      the longer wait lies before: dropped
    ── written ─ asked ▶ made ─ written ───────────── asked, "ran dry"      the longer wait lies behind: taken

Where the wait before is longer than a device can live, the one behind no longer matters.

Source: PortAudio 19.6 over ALSA's plugin for PulseAudio, beside what the card got. Of 340 underruns, as requests
were held up, while the process was stopped, and on a machine with ten times as much to do as it has cores, 89 dropped
the period. The rule was found on these; all 89 are told, and no other. With ``handle_underrun 0`` the plugin refuses
nothing, and nothing is dropped.
"""

from __future__ import annotations

BEHIND_IT = 2.0
"""A device and the sound server behind it hold no more than so many times what it tells: 45 ms of 30 were seen."""


class DroppedPeriods:
    """The periods of one device, from its opening on, told in order.

    Args:
        period_s: How long a period is, in seconds.
        latency_s: What the device holds, in seconds: it does not run dry in less.
    """

    def __init__(self, period_s: float, latency_s: float) -> None:
        self._period_s = period_s
        self._latency_s = latency_s
        self._given_s: float | None = None
        self._held_s = latency_s
        self._drained_s = 0.0
        """How much of what the device can hold had been played as the last period was ready, since it was last full."""

    def asked(self, now_s: float, *, ran_dry: bool) -> bool:
        """The device asks for a period; whether it has dropped the last one.

        Args:
            now_s: When, in seconds on any clock that never goes back.
            ran_dry: Whether it says that it ran dry.
        """
        if self._given_s is None:
            return False
        most_s = BEHIND_IT * self._latency_s
        dropped = ran_dry and self._drained_s > max(self._latency_s, min(now_s - self._given_s, most_s))
        if ran_dry:
            self._given_s = None  # it begins anew: what was before is over
        return dropped

    def given(self, now_s: float) -> None:
        """A period is ready."""
        if self._given_s is None:
            self._held_s, self._given_s = self._latency_s, now_s
        left_s = self._held_s - (now_s - self._given_s)
        self._drained_s = self._latency_s - left_s
        self._held_s = min(self._latency_s, max(0.0, left_s) + self._period_s)
        self._given_s = now_s
