"""Pocket TTS's model, which computes one text at a time: what that does to other texts, and where its files may be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.extras import need
from tests.support.pocket_model import write_pocket
from tests.support.waiting import eventually_async
from voice_mcp.errors import EngineError
from voice_mcp.tts.pocket import PocketEngine
from voice_mcp.types import SpeechRequest

torch = need("torch")
need("pocket_tts")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch, while it is imported
]

WAIT_S = 20.0
FRAME = 1_920


class Library:
    """Stands for the library's model: frames that are counted, and texts that break or take their time."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}
        self.waiting = threading.Event()
        """Set when a text waits until it is told to stop."""

    def get_state_for_audio_prompt(self, path: Path) -> str:
        return path.stem

    def generate_audio_stream(self, state: str, text: str, stop: threading.Event) -> Iterator[Any]:
        for number in range(10):
            if text.startswith("Break") and number == 5:
                raise RuntimeError("numbers that are none")
            if text.startswith("Wait") and number == 1:
                self.waiting.set()
                assert stop.wait(WAIT_S)
            if stop.is_set():
                return
            self.made[text] = self.made.get(text, 0) + 1
            yield torch.full((FRAME,), 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pocket(tmp_path_factory.mktemp("pocket") / "english")


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def model(folder: Path, library: Library) -> Any:
    from voice_mcp.tts._pocket_library import PocketModel
    from voice_mcp.tts._pocket_voices import PocketFolder

    model = PocketModel(PocketFolder(folder))
    model._model = library
    return model


async def test_a_failure_is_told_to_whom_it_belongs_behind_the_sound_before_it(model: Any) -> None:
    broken = model.sounds("Break here.", "alba", threading.Event())
    other = model.sounds("Another text.", "jean", threading.Event())
    next(broken)

    assert len(list(other)) == 10
    assert len([next(broken) for _ in range(4)]) == 4
    with pytest.raises(RuntimeError, match="numbers that are none"):
        next(broken)
    assert len(list(model.sounds("The next text.", "alba", threading.Event()))) == 10


async def test_a_text_that_fails_in_its_own_turn_leaves_the_model_to_others(model: Any) -> None:
    broken = model.sounds("Break here.", "alba", threading.Event())

    with pytest.raises(RuntimeError, match="numbers that are none"):
        list(broken)
    assert len(list(model.sounds("The next text.", "alba", threading.Event()))) == 10


async def test_a_text_that_nobody_wants_any_more_is_not_finished_in_anothers_turn(model: Any, library: Library) -> None:
    stop = threading.Event()
    unwanted = model.sounds("Nobody listens.", "alba", stop)
    next(unwanted)
    stop.set()

    assert len(list(model.sounds("Another text.", "jean", threading.Event()))) == 10
    assert list(unwanted) == []
    assert library.made["Nobody listens."] == 1


async def test_a_text_is_stopped_while_it_is_being_finished_in_anothers_turn(folder: Path, library: Library) -> None:
    engine = PocketEngine(folder)
    await engine.warm_up()
    assert engine._loaded is not None
    engine._loaded._model = library
    first = await engine.open(SpeechRequest("Wait for it."))
    second = await engine.open(SpeechRequest("Another text."))
    await eventually_async(library.waiting.is_set, WAIT_S)
    await first.aclose()

    async with asyncio.timeout(WAIT_S):
        assert sum([len(block) async for block in second]) == 10 * FRAME * 2
    await engine.aclose()


async def test_only_the_voices_that_were_used_last_are_kept(model: Any) -> None:
    for number in range(50):
        assert list(model.sounds("Hello.", f"voice{number}", threading.Event()))

    assert len(model._states) < 10
    assert "voice49" in model._states


async def test_every_file_of_a_description_is_one_of_the_folder(tmp_path: Path) -> None:
    from voice_mcp.tts._pocket_library import at_home

    named = {
        "weights_path": "/etc/weights",
        "weights_path_without_voice_cloning": "hf://somebody/somewhere/plain.safetensors@0123",
        "flow_lm": {"lookup_table": {"tokenizer_path": "../../tokenizer.json", "dim": 3}},
        "more": [{"weights_path": "hf://a/b/c.safetensors@1"}, "https://host/d.safetensors"],
        "windows": {"first_path": r"C:\models\e.safetensors", "second_path": "D:f", "third_path": None},
    }

    assert at_home(named, tmp_path) == {
        "weights_path": str(tmp_path / "weights"),
        "weights_path_without_voice_cloning": str(tmp_path / "plain.safetensors"),
        "flow_lm": {"lookup_table": {"tokenizer_path": str(tmp_path / "tokenizer.json"), "dim": 3}},
        "more": [{"weights_path": str(tmp_path / "c.safetensors")}, str(tmp_path / "d.safetensors")],
        "windows": {
            "first_path": str(tmp_path / "e.safetensors"),
            "second_path": str(tmp_path / "f"),
            "third_path": None,
        },
    }


@pytest.mark.parametrize("name", ["..", "models/..", "", "/", "hf://"])
async def test_a_description_whose_file_has_no_name_is_refused(tmp_path: Path, name: str) -> None:
    from voice_mcp.tts._pocket_library import at_home

    with pytest.raises(EngineError, match="which is none"):
        at_home({"weights_path": name}, tmp_path)
