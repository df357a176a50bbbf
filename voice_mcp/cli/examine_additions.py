"""Whether that works which nobody needs, and somebody has asked for: interruption, the turn model, ducking."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE

from voice_mcp.app import App
from voice_mcp.cli.report import Check, Finding, State
from voice_mcp.ducking.link import DUCKING_PROCESS
from voice_mcp.errors import DuckingUnavailable, ListeningUnavailable
from voice_mcp.parts import prepared_turn_model

ANSWER_S = 10.0
"""Longest a sound server may take to answer."""


async def check_additions(app: App) -> Finding:
    """See whether what the settings ask for beyond the usual can be had; works: whether listening does with it."""
    interruption, turn_model = await asyncio.gather(
        asyncio.to_thread(_interruption, app), asyncio.to_thread(_turn_model, app)
    )
    for_listening = (*interruption, *turn_model)
    works = all(check.state is State.OK for check in for_listening)
    return Finding((*for_listening, *await _ducking(app)), works)


def _interruption(app: App) -> list[Check]:
    choice = app.settings.barge_in
    if choice == "off":
        return []
    try:
        app.barge_in()
    except ListeningUnavailable as exc:
        return [Check("interruption", State.WARNING, exc.message, exc.hint)]
    detail = "wear headphones, or the agent interrupts itself" if choice == "headphones" else "on open loudspeakers"
    return [Check("interruption", State.OK, detail)]


def _turn_model(app: App) -> list[Check]:
    if app.settings.turn_model != "smart_turn":
        return []
    try:
        prepared_turn_model(app.settings, app.root)
    except ListeningUnavailable as exc:
        return [Check("turn model", State.WARNING, exc.message, exc.hint)]
    return [Check("turn model", State.OK, "Smart Turn is installed")]


async def _ducking(app: App) -> list[Check]:
    """The very process that lowers: it looks for the sound server when it begins, and says what is wrong."""
    settings = app.settings
    if not settings.ducking or settings.audio_output in ("file", "null"):
        return []
    complaint = await _complaint((*DUCKING_PROCESS, str(app.root.path), str(settings.ducking)))
    if complaint is None:
        return [Check("ducking", State.OK, f"others are lowered to {settings.ducking:.0%}")]
    sentence = complaint.strip().removeprefix("voice-mcp: ").removesuffix(DuckingUnavailable.hint).strip()
    return [Check("ducking", State.WARNING, sentence, DuckingUnavailable.hint)]


async def _complaint(command: tuple[str, ...]) -> str | None:
    """What the process says is wrong; None when nothing is."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE)
    try:
        async with asyncio.timeout(ANSWER_S):
            _, said = await process.communicate(b"")  # and no more: it ends
    except TimeoutError:
        return f"The sound server did not answer within {ANSWER_S:.0f} s."
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return said.decode("utf-8", "replace") or None
