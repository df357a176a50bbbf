"""CSM's weights and tokenizer, from a folder or from what has been downloaded before. Nothing is fetched here.

The checkpoint's own processor is not used: it wants a template engine and a feature extractor, and what it makes of a
text is one line (``_csm_prompt``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voice_mcp.errors import EngineError, EngineMissing

INSTALL = "Run `pip install 'voice-mcp[csm]'`."
SAMPLES_A_SECOND = 24_000
"""What Mimi was trained with, and all that is spoken here."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was loaded."""

    model: Any
    """A ``CsmForConditionalGeneration`` on its device; its codec in float32."""
    tokenizer: Any
    temperature: float
    """What the checkpoint wants to be drawn with."""
    top_k: int

    @property
    def positions(self) -> int:
        """How long a text may be, sound and voice included: what the backbone was trained for."""
        return int(self.model.config.max_position_embeddings)

    @property
    def frame_s(self) -> float:
        """Seconds of sound in a frame."""
        return 1.0 / float(self.model.config.codec_config.frame_rate)


def load(source: str, device: str, dtype: str) -> Checkpoint:
    """Load a checkpoint in the format of transformers. Takes many seconds.

    Args:
        source: A folder, or the name of a repository on the hub that was downloaded before.
        device: ``auto``, ``cuda``, ``mps`` or ``cpu``.
        dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``: what the backbone and the depth decoder compute in.

    Raises:
        EngineMissing: A package or the weights are not there.
        EngineError: They are, and cannot be used.
    """
    try:
        import huggingface_hub
        import torch
        import transformers

        _ = transformers.CsmForConditionalGeneration  # an old version has none
    except (ImportError, AttributeError) as exc:
        raise EngineMissing("csm needs torch and transformers, which are not installed.", hint=INSTALL) from exc
    where = _device(torch, device)
    folder = _folder(huggingface_hub, source)
    try:
        _check_kind(folder)
        with _quiet(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            # In float32 first, so that the codec keeps what the file has; the rest is narrowed below.
            model, report = transformers.CsmForConditionalGeneration.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        lacking = sorted(report["missing_keys"])
        if lacking:
            raise EngineMissing(
                f"The checkpoint in {source} is not whole: {lacking[0]} is missing, one of {len(lacking)} tensors.",
                hint=_how_to_get(source),
            )
        rate_hz = int(model.config.codec_config.sampling_rate)
        if rate_hz != SAMPLES_A_SECOND:
            raise EngineError(
                f"The codec of {source} makes sound of {rate_hz} Hz, not 24000.", hint=_how_to_get(source)
            )
        narrow = _dtype(torch, where, dtype)
        for name, part in model.named_children():
            part.to(device=where, dtype=torch.float32 if name == "codec_model" else narrow)
        model.eval().requires_grad_(False)
    except EngineError:
        raise
    except torch.OutOfMemoryError as exc:
        raise EngineError(
            f"csm does not fit into the memory of {where}.",
            hint="Close what else uses it, or set VOICEMODE_CSM_DEVICE=cpu.",
        ) from exc
    except Exception as exc:  # a broken file shows itself in as many ways as there are libraries
        raise EngineMissing(f"{source} holds no CSM checkpoint that can be loaded.", hint=_how_to_get(source)) from exc
    return _with_its_wishes(model, tokenizer)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bars and no advice for those who train: what comes out here ends in a host's log."""
    log = transformers.utils.logging
    level, had_bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if had_bars:
            log.enable_progress_bar()


def _check_kind(folder: str) -> None:
    """See that it is a checkpoint of CSM: without a config transformers would make one of the full size up."""
    kind = json.loads((Path(folder) / "config.json").read_bytes()).get("model_type")
    if kind != "csm":
        raise ValueError(f"its model is a {kind}")


def _with_its_wishes(model: Any, tokenizer: Any) -> Checkpoint:
    wishes = model.generation_config
    if not wishes.do_sample:  # it does not say
        return Checkpoint(model, tokenizer, temperature=0.9, top_k=50)
    return Checkpoint(
        model,
        tokenizer,
        temperature=0.9 if wishes.temperature is None else float(wishes.temperature),
        top_k=wishes.top_k or int(model.config.vocab_size),
    )


def _folder(huggingface_hub: Any, source: str) -> str:
    """Where the files are; a repository's name leads to what was downloaded of it."""
    path = Path(source).expanduser()
    if path.is_dir():
        return str(path)
    try:
        return str(huggingface_hub.snapshot_download(source, local_files_only=True))
    except (OSError, ValueError) as exc:  # not in the cache; or nothing that could be a name
        raise EngineMissing(f"The weights of {source} are not on this machine.", hint=_how_to_get(source)) from exc


def _how_to_get(source: str) -> str:
    if Path(source).expanduser().is_dir() or source.count("/") != 1:
        return "Set VOICEMODE_CSM_MODEL to a folder with a whole checkpoint, or unset it for sesame/csm-1b."
    return (
        f"Accept the licence on the page of {source}, run `hf auth login` and `hf download {source}`; "
        "or set VOICEMODE_CSM_MODEL to a folder with the checkpoint."
    )


def _device(torch: Any, wanted: str) -> Any:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there[wanted]:
        raise EngineError(
            f"torch finds no {wanted} device on this machine.",
            hint="Set VOICEMODE_CSM_DEVICE=auto to use what there is.",
        )
    return torch.device(wanted)


def _dtype(torch: Any, device: Any, wanted: str) -> Any:
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
