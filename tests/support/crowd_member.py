"""One of many agents, as a process of its own: says its messages, and prints what becomes of each.

    python -m tests.support.crowd_member FIRST COUNT SEED

The settings come from the environment. It prints "ready", waits for a line on standard input, says the messages with
the numbers FIRST to FIRST + COUNT one after the other, and prints a JSON object for each moment of each.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

from tests.support.crowd_words import SPEED, Messages
from voice_mcp.app import App
from voice_mcp.core.floor import Admission
from voice_mcp.events import Event, EventType
from voice_mcp.settings import load_settings
from voice_mcp.types import Urgency

URGENCIES = (Urgency.NOW, Urgency.NORMAL, Urgency.NORMAL, Urgency.NORMAL, Urgency.NORMAL, Urgency.WHENEVER)
MOMENTS = {
    EventType.FLOOR_ACQUIRED: "acquired",
    EventType.TTS_PLAYBACK_START: "began",
    EventType.FLOOR_RELEASED: "released",
}


def say(line: str) -> None:
    """Tell whoever started this."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(first: int, count: int, seed: int) -> None:
    """Say them."""
    chance, messages = random.Random(seed), Messages()

    def tell(moment: str, **more: Any) -> None:
        say(json.dumps({"moment": moment, "at_s": app.clock.now(), "number": number, **more}))

    def watch(event: Event) -> None:
        if event.event_type in MOMENTS:
            tell(MOMENTS[event.event_type], waited_s=event.data.get("waited_s"))

    number = first
    app = App(load_settings().settings, events=watch)
    app.warm_up()
    await app.link.start()
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    manner = app.session.manner("square", SPEED, None)
    for number in range(first, first + count):
        urgency = chance.choice(URGENCIES)
        tell("asked", urgency=urgency.value)
        speech = await app.session.begin(
            messages.text(number),
            manner,
            app.session.conversation_id,
            app.clock.now(),
            lambda position_s, total_s, text: None,
            Admission(urgency),
        )
        spoken = await speech.result()
        tell("ended", status=spoken.status.value, heard=spoken.heard, underruns=spoken.underruns)
    await app.aclose()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
