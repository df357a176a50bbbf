"""All that can be said at a door, and how it is said: one line of JSON in, one line of JSON out."""

from __future__ import annotations

from enum import StrEnum

MOST_REQUEST_BYTES = 1024
"""A request is a word and a token."""
MOST_ANSWER_BYTES = 1 << 18
"""An answer is a sentence, or who speaks and who waits: thousands of them."""


class Word(StrEnum):
    """What can be asked for. There is no free text: nobody can put words into an agent's ear from here."""

    DONE = "done"
    """The user has said all there is to say: end their turn now."""
    STOP = "stop"
    """Silence: what speaks ends, and nobody listens any more."""
    REPEAT = "repeat"
    """Say the last message again."""
    PAUSE = "pause"
    """Silence, until ``resume``."""
    RESUME = "resume"
    """Go on with the word in which it stopped."""
    SKIP = "skip"
    """End this message, and go on with the next."""
    HUSH = "hush"
    """End everything: what speaks, what waits, what listens."""
    STATUS = "status"
    """Who speaks, who waits, since when."""
