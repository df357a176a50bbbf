"""Smart Turn, with a network of its signature whose weights are known; the published ones are too large for a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.onnx_file import BANDS, HOPS, write_network
from voice_mcp.errors import ListeningUnavailable
from voice_mcp.protocols import TurnModel
from voice_mcp.turn._log_mel import LogMel
from voice_mcp.turn.smart_turn import SmartTurn

pytest.importorskip("onnxruntime", reason="onnxruntime has no wheel here")

RATE_HZ = 16_000
LONGEST_RUN_S = 60.0
WEIGHTS = np.random.default_rng(7).normal(0.0, 0.01, (BANDS, HOPS)).astype(np.float32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("models") / "smart-turn.onnx", WEIGHTS)


@pytest.fixture(scope="module")
def model(weights: Path) -> TurnModel:
    return SmartTurn(weights)


def sound(seconds: float, seed: int = 1) -> bytes:
    steps = np.random.default_rng(seed).normal(0.0, 3000.0, round(seconds * RATE_HZ))
    return np.clip(np.rint(steps), -32768, 32767).astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE_HZ))


def expected(frames: bytes) -> float:
    """What the network makes of eight seconds, computed without onnxruntime."""
    assert len(frames) == 2 * 8 * RATE_HZ
    features = LogMel().of(np.asarray(np.frombuffer(frames, "<i2") / 32768, np.float32))
    return float(1 / (1 + np.exp(-np.sum(features.astype(float) * WEIGHTS))))


def test_it_gives_the_network_what_it_was_made_for(model: TurnModel) -> None:
    frames = sound(8.0)
    assert model.completeness(frames) == pytest.approx(expected(frames), abs=1e-4)


def test_in_front_of_a_short_turn_it_takes_silence(model: TurnModel) -> None:
    frames = sound(3.0)
    assert model.completeness(frames) == pytest.approx(expected(silence(5.0) + frames), abs=1e-4)
    assert model.completeness(frames) != pytest.approx(expected(frames + silence(5.0)), abs=1e-2)


def test_of_a_long_turn_it_takes_the_last_eight_seconds(model: TurnModel) -> None:
    end = sound(8.0, seed=2)
    assert model.completeness(sound(5.0) + end) == model.completeness(end)


def test_a_turn_without_a_sound_is_judged_without_an_error(model: TurnModel) -> None:
    assert 0.0 <= model.completeness(b"") <= 1.0
    assert 0.0 <= model.completeness(silence(8.0)) <= 1.0


def test_what_was_asked_before_makes_no_difference(model: TurnModel) -> None:
    first = model.completeness(sound(2.0))
    model.completeness(sound(6.0, seed=3))
    assert model.completeness(sound(2.0)) == first


def test_weights_that_are_not_there_are_told_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    with pytest.raises(ListeningUnavailable, match="smart_turn needs the weights") as refused:
        SmartTurn(tmp_path / "nowhere.onnx").prepare()
    assert "`voice-mcp models install smart-turn`" in refused.value.hint


def test_it_is_not_prepared_by_a_judgement_either(tmp_path: Path) -> None:
    with pytest.raises(ListeningUnavailable, match="smart_turn needs the weights"):
        SmartTurn(tmp_path / "nowhere.onnx").completeness(sound(1.0))


@pytest.mark.parametrize("content", [b"", b"no network at all", bytes(5000)])
def test_a_file_that_is_no_network_is_told_without_a_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "smart-turn.onnx"
    path.write_bytes(content)
    with pytest.raises(ListeningUnavailable, match="cannot be used") as refused:
        SmartTurn(path).prepare()
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message
    assert "again" in refused.value.hint


def test_half_of_the_weights_are_told_too(tmp_path: Path, weights: Path) -> None:
    path = tmp_path / "smart-turn.onnx"
    path.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(ListeningUnavailable, match="cannot be used"):
        SmartTurn(path).prepare()


@pytest.mark.parametrize(("name", "bands"), [("speech", BANDS), ("input_features", 40)])
def test_a_network_that_takes_something_else_is_refused_before_it_is_asked(
    tmp_path: Path, name: str, bands: int
) -> None:
    path = write_network(tmp_path / "smart-turn.onnx", np.zeros((bands, HOPS), np.float32), name=name)
    with pytest.raises(ListeningUnavailable, match="something else"):
        SmartTurn(path).prepare()


def test_it_is_installed_where_library_and_weights_are(tmp_path: Path, weights: Path) -> None:
    assert SmartTurn.is_installed(weights)
    assert not SmartTurn.is_installed(tmp_path / "nowhere.onnx")


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=LONGEST_RUN_S, check=True
    )
    return done.stdout.strip()


def test_nothing_is_loaded_before_it_is_prepared(weights: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from voice_mcp.turn.smart_turn import SmartTurn\n"
        "path = Path(sys.argv[1]); model = SmartTurn(path); SmartTurn.is_installed(path)\n"
        "before = [name in sys.modules for name in ('numpy', 'onnxruntime')]\n"
        "model.prepare(); print(before, 'onnxruntime' in sys.modules)"
    )
    assert run(code, str(weights)) == "[False, False] True"


def test_without_the_library_the_error_names_both_commands(weights: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from voice_mcp.turn.smart_turn import SmartTurn\n"
        "from voice_mcp.errors import ListeningUnavailable\n"
        "sys.modules['onnxruntime'] = None\n"
        "try: SmartTurn(Path(sys.argv[1])).prepare()\n"
        "except ListeningUnavailable as exc: print(exc.advice)"
    )
    told = run(code, str(weights))
    assert "needs onnxruntime, which is not installed." in told
    assert "`pip install 'voice-mcp[turn]'` and `voice-mcp models install smart-turn`" in told
