"""Where CSM's weights come from, and what is said when they are not there, or not whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.csm_checkpoint import write_checkpoint
from tests.support.extras import need
from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.tts._csm_loading import load

LONGEST_RUN_S = 60.0
WITHOUT_PACKAGES = """
import asyncio, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "huggingface_hub"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from voice_mcp.errors import EngineMissing
from voice_mcp.tts.csm import CsmEngine
from voice_mcp.types import SpeechRequest

async def main():
    engine = CsmEngine()
    assert engine.knows_voice("0") and len(await engine.voices()) == 10
    for ask in (engine.check, engine.warm_up, lambda: engine.open(SpeechRequest("Hello."))):
        try:
            await ask()
        except EngineMissing as exc:
            print(exc.advice)
    await engine.aclose()

asyncio.run(main())
"""
WITHOUT_NETWORK = """
import asyncio, socket, sys

def refuse(*args):
    raise SystemExit(f"somebody was asked: {args[1:]}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from voice_mcp.tts.csm import CsmEngine
from voice_mcp.types import Sampling, SpeechRequest

async def main():
    engine = CsmEngine("somebody/csm-toy", device="cpu")
    stream = await engine.open(SpeechRequest("Hello.", sampling=Sampling(most_s=0.16)))
    print(stream.model, sum([len(block) async for block in stream]))
    await engine.aclose()

asyncio.run(main())
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_its_packages_the_engine_says_which_command_brings_them() -> None:
    lines = run(WITHOUT_PACKAGES).splitlines()

    assert (
        lines == ["csm needs torch and transformers, which are not installed. Run `pip install 'voice-mcp[csm]'`."] * 3
    )


def test_nothing_heavy_is_loaded_before_the_engine_speaks() -> None:
    code = "import sys, voice_mcp.parts; print({'torch', 'transformers', 'numpy'} & {*sys.modules})"

    assert run(code).strip() == "set()"


def test_a_repository_that_was_downloaded_is_found_by_its_name_and_nobody_is_asked(
    csm_folder: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "hub" / "models--somebody--csm-toy"
    shutil.copytree(csm_folder, repository / "snapshots" / "0123abcd")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")

    assert run(WITHOUT_NETWORK, HF_HUB_CACHE=str(tmp_path / "hub"), OMP_NUM_THREADS="1").split() == [
        "csm-toy",
        str(2 * 3840),
    ]


def test_weights_that_are_not_here_are_an_error_that_says_how_to_get_them() -> None:
    need("transformers")
    with pytest.raises(EngineMissing, match="weights of nobody/nothing are not on this machine") as missing:
        load("nobody/nothing", "cpu", "auto")

    assert "`hf download nobody/nothing`" in missing.value.hint
    assert "VOICEMODE_CSM_MODEL" in missing.value.hint


@pytest.mark.parametrize("source", ["/nowhere/at/all", "no name", "a/b/c/d"])
def test_a_folder_that_is_not_there_is_an_error_that_names_the_setting(source: str) -> None:
    need("transformers")
    with pytest.raises(EngineMissing, match="not on this machine") as missing:
        load(source, "cpu", "auto")

    assert "VOICEMODE_CSM_MODEL" in missing.value.hint


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_broken_folder_is_an_error_that_names_it(csm_folder: Path, tmp_path: Path, name: str, damage: str) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(csm_folder, folder)
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:100])

    with pytest.raises(EngineMissing) as missing:
        load(str(folder), "cpu", "auto")
    assert str(folder) in missing.value.message
    assert "VOICEMODE_CSM_MODEL" in missing.value.hint


def test_a_checkpoint_that_lacks_a_tensor_is_not_spoken_with(csm_folder: Path, tmp_path: Path) -> None:
    """transformers would fill it with random numbers, and warn."""
    need("safetensors")
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "lacking"
    shutil.copytree(csm_folder, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(EngineMissing, match=r"is not whole: lm_head\.weight"):
        load(str(folder), "cpu", "auto")


def test_a_model_of_another_kind_is_refused(csm_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(csm_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    for changes in ({"hidden_size": 32}, {"model_type": "llama"}):
        (folder / "config.json").write_text(json.dumps({**config, **changes}))
        with pytest.raises(EngineMissing, match="holds no CSM checkpoint"):
            load(str(folder), "cpu", "auto")


def test_the_codec_stays_in_float32_whatever_the_rest_computes_in(csm_folder: Path) -> None:
    torch = need("torch")
    model = load(str(csm_folder), "cpu", "bfloat16").model

    assert model.lm_head.weight.dtype == model.depth_decoder.model.norm.weight.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.codec_model.parameters()} == {torch.float32}


def test_a_checkpoint_says_how_it_wants_to_be_drawn(csm_folder: Path, tmp_path: Path) -> None:
    need("torch")
    folder = tmp_path / "wishes"
    shutil.copytree(csm_folder, folder)
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.7, "top_k": 20}))

    wishes, silent = load(str(folder), "cpu", "auto"), load(str(csm_folder), "cpu", "auto")
    assert (wishes.temperature, wishes.top_k) == (0.7, 20)
    assert (silent.temperature, silent.top_k) == (0.9, 50)
    assert silent.frame_s == pytest.approx(0.08)


def test_a_codec_of_another_rate_is_refused(tmp_path: Path) -> None:
    need("transformers")
    folder = write_checkpoint(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["codec_config"]["sampling_rate"] = 16_000
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(EngineError, match="16000 Hz"):
        load(str(folder), "cpu", "auto")
