"""A second corpus, in one breath: each turn spoken as one sentence by a neural voice, and cut where its phrases meet.

espeak-ng speaks every phrase of the first corpus by itself, so each of them ends as a sentence does, and the voice
tells nothing. Here it does: it stays up after an "um" and falls at the end. The voice is ``hibari-tts`` (Apache-2.0,
English), in an environment of its own; what it has spoken is kept, in the form of ``tests/data/voices``.
"""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from benchmarks.cache import cache_folder, environment
from tests.data.make_voices import LEVEL_RMS, RATE_HZ

PACKAGE = "hibari-tts==0.2.1"
SPEEDS = {
    "tuning": {"brisk": 1.15, "even": 1.0, "thoughtful": 0.9},
    "table": {"brisk": 1.1, "even": 0.95, "thoughtful": 0.85},
}
TURNS = {
    "tuning": {
        "brisk": (
            *("Open the settings file ... and change the port to eight thousand", "No"),
            *("Could you rename that function?", "Yes please", "Go ahead", "Delete the old branch"),
            "I think ... the second test fails ... because the socket is still open",
            "Run the tests again ... and tell me what you find",
            "The login page is broken ... when the session has expired",
            *("What I need is ... a smaller image", "Is there a reason ... why we parse it twice?"),
            "Put the new check ... before the loop",
        ),
        "even": (
            *("Let me see ... it was the ... no it was the other branch", "Stop"),
            *("Use the staging server ... not the production one", "Well ... I would rather keep the old name"),
            *("Can you explain ... why the request takes so long?", "If the build is green ... you can merge it"),
            *("That looks good to me", "Please move the button ... a bit to the left", "The second one"),
            *("When the user logs in ... we need to refresh the token", "How many tests are there now?"),
            "It should retry ... three times ... and then give up",
        ),
        "thoughtful": (
            "So what I want is ... a list of all the files ... that were changed yesterday",
            *("I am not sure ... but ... the database might be locked", "Twenty five"),
            "Write a function ... that takes a list of numbers ... and returns the median",
            *("Um ... maybe we should ask the others first", "Add a test for it ... and, um ... update the docs"),
            *("The problem with that is ... we would have to migrate everything", "Show me the last commit"),
            *("Let us call it ... the render queue", "I like the first version ... but without the border"),
            *("Yes do that", "Because ... the cache is never cleared"),
        ),
    },
    "table": {
        "brisk": (
            *("Close the issue ... and thank them for the report", "Yes", "Where is the configuration stored?"),
            "Maybe ... the parser drops the last line ... when there is no newline",
            *("No thanks", "Install the package ... and start the server again"),
            *("The chart is empty ... if the filter is set", "Do it", "What bothers me is ... the long import"),
            *("Revert the last change", "Do you know ... who wrote this part?"),
            "Move the constant ... to the top of the file",
        ),
        "even": (
            *("It was in the, um ... no in the other folder ... with the images", "Continue"),
            *("Take the blue one ... not the green one", "Actually ... we could drop the table completely"),
            *("Could you check ... whether the disk is full?", "As soon as the review is done ... publish it"),
            *("I am happy with that", "Make the font ... a little larger", "Number four"),
            *("Before we deploy ... we have to update the certificate", "Which version is installed here?"),
            "It should wait ... ten seconds ... and then ask again",
        ),
        "thoughtful": (
            "My idea was ... a small script ... that renames the pictures",
            *("It could be ... I mean ... the timeout is too short", "Three hundred"),
            "Build a page ... that shows the open orders ... and sorts them by date",
            *("Hmm ... perhaps it is the proxy", "Fix the typo ... and, uh ... push it to the main branch"),
            *("What I do not understand is ... how it worked before", "Read me the error message"),
            *("The name could be ... message board", "Keep the old tests ... but skip the slow ones"),
            *("That is right", "Since ... nobody uses it any more"),
        ),
    },
}

_SPEAKS_AT_HZ = 24_000
_BLOCK = RATE_HZ // 100
_SILENT = 1e-4
"""Below the loudest 10 ms by this factor in power is a gap."""
_LEAST_GAP = 3
_CHILD = """
import json, struct, sys
import numpy as np
from hibari import Hibari
voice = Hibari()
for line in sys.stdin:
    text, speed, seed = json.loads(line)
    sound = np.asarray(voice(text, speed=speed, seed=seed), "<f4").tobytes()
    sys.stdout.buffer.write(struct.pack("<I", len(sound)) + sound)
    sys.stdout.buffer.flush()
"""


def natural_voices() -> Path:
    """The folder of the corpus; made when it is not there.

    Raises:
        OSError, subprocess.SubprocessError: The voice cannot be installed or started here.
    """
    folder = cache_folder() / "natural-voices"
    if not (folder / "index.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(
            [environment(PACKAGE), "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            index = {part: [_record(child, folder, part, manner) for manner in TURNS[part]] for part in TURNS}
            if child.stdin is not None:
                child.stdin.close()
        (folder / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return folder


def _record(child: subprocess.Popen[bytes], folder: Path, part: str, manner: str) -> dict[str, Any]:
    name, turns, clips, at = f"natural-{part}-{manner}", [], [], 0
    for number, text in enumerate(TURNS[part][manner]):
        phrases = text.split(" ... ")
        sound = _speak(child, ", ".join(phrases), SPEEDS[part][manner], number)
        places = []
        for clip in _cut(sound, len(phrases)):
            places.append([at, at + len(clip)])
            clips.append(clip)
            at += len(clip)
        turns.append({"text": text, "phrases": places})
    soundfile.write(folder / f"{name}.flac", np.concatenate(clips), RATE_HZ, subtype="PCM_16")
    return {"name": name, "manner": manner, "turns": turns}


def _speak(child: subprocess.Popen[bytes], text: str, speed: float, seed: int) -> NDArray[np.float64]:
    if child.stdin is None or child.stdout is None:
        raise OSError("the voice has no pipes")
    sentence = text if text.endswith(("?", ".")) else f"{text}."
    child.stdin.write(json.dumps([sentence, speed, seed]).encode() + b"\n")
    child.stdin.flush()
    (size,) = struct.unpack("<I", child.stdout.read(4))
    sound = np.frombuffer(child.stdout.read(size), "<f4").astype(float)
    return np.asarray(resample_poly(sound, RATE_HZ, _SPEAKS_AT_HZ))


def _cut(sound: NDArray[np.float64], count: int) -> Iterator[NDArray[np.int16]]:
    """The phrases of a sentence, cut at its longest gaps and set to one level."""
    blocks = sound[: len(sound) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)
    power = np.mean(blocks**2, axis=1)
    loud = np.flatnonzero(power >= power.max() * _SILENT)
    jumps = np.flatnonzero(np.diff(loud) > _LEAST_GAP)
    joints = sorted(sorted(jumps, key=lambda at: loud[at + 1] - loud[at])[len(jumps) - count + 1 :])
    if len(joints) != count - 1:
        raise OSError("the voice made no gap between two phrases")
    begins = [loud[0], *(loud[at + 1] for at in joints)]
    ends = [*(loud[at] + 1 for at in joints), loud[-1] + 1]
    pieces = [sound[begin * _BLOCK : end * _BLOCK] for begin, end in zip(begins, ends, strict=True)]
    level = LEVEL_RMS / np.sqrt(np.mean(np.concatenate(pieces) ** 2))
    for piece in pieces:
        yield np.clip(np.rint(piece * level), -32768, 32767).astype(np.int16)


if __name__ == "__main__":
    print(natural_voices())
