"""Runs of a network that are stopped in the middle, before they begin, and by whom they are meant for alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.extras import need
from tests.support.onnx_voices import write_piper
from voice_mcp.tts._onnx_runs import StoppableSession, StopSign

onnxruntime = need("onnxruntime")

TOKENS = 20_000
"""Of a hum that takes some 100 ms to make."""
WAIT_S = 20.0


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> StoppableSession:
    path: Path = write_piper(tmp_path_factory.mktemp("network"))
    return StoppableSession(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]))


def feeds(tokens: int) -> dict[str, Any]:
    return {
        "input": np.ones((1, tokens), np.int64),
        "input_lengths": np.array([tokens], np.int64),
        "scales": np.array([0.6, 1.0, 0.8], np.float32),
    }


def test_a_run_that_nobody_stops_is_as_it_would_be(session: StoppableSession) -> None:
    session.sign = None
    (alone,) = session.run(None, feeds(20))
    session.sign = StopSign()
    (watched,) = session.run(None, feeds(20))
    assert np.array_equal(alone, watched)


def test_a_text_that_was_stopped_begins_no_run(session: StoppableSession) -> None:
    session.sign = StopSign()
    session.sign.stop()
    with pytest.raises(Exception, match="terminate"):
        session.run(None, feeds(20))


def test_a_run_is_stopped_in_the_middle_and_the_next_text_is_not(session: StoppableSession) -> None:
    mine, others = StopSign(), StopSign()
    session.sign = mine
    running = threading.Timer(0.0, mine.stop)
    began_s = time.perf_counter()
    running.start()
    with pytest.raises(Exception, match="terminate"):
        while time.perf_counter() - began_s < WAIT_S:
            session.run(None, feeds(TOKENS))
    running.join()
    session.sign = others
    mine.stop()
    assert len(session.run(None, feeds(20))) == 1
