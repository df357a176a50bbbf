"""A model of Pocket TTS small enough to be made in a test: the real classes, random weights, two voices."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

from tests.support.extras import need

LETTERS = string.ascii_letters + string.digits + " .,!?'-:"


def write_pocket(folder: Path, *, ends: bool = True) -> Path:
    """Write it as its makers publish one; a text ends by itself after half a second, or only when it has to."""
    torch, yaml = need("torch"), need("yaml")
    pocket, tensors = need("pocket_tts"), need("safetensors.torch")
    from pocket_tts.utils.config import Config

    (folder / "embeddings").mkdir(parents=True)
    vocabulary = {letter: number for number, letter in enumerate(["<unk>", *LETTERS])}
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(vocabulary)), encoding="utf-8")
    facts = _facts(len(vocabulary), str(folder / "tokenizer.json"))
    torch.manual_seed(7)
    model = pocket.TTSModel._from_pydantic_config_with_weights(Config(**facts), 0.3, 1, None, -4.0)
    with torch.no_grad():
        for name, weight in model.state_dict().items():
            if weight.is_floating_point() and not torch.isfinite(weight).all():
                model.state_dict()[name].zero_()
        model.flow_lm.emb_std.fill_(1.0)
        model.flow_lm.emb_mean.zero_()
    weights = {name: weight.contiguous().clone() for name, weight in model.state_dict().items()}
    tensors.save_file(weights, folder / "model.safetensors")
    for name, length in (("alba", 24_000), ("jean", 36_000)):
        state = model.get_state_for_audio_prompt(0.1 * torch.randn(1, length))
        pocket.export_model_state(state, folder / "embeddings" / f"{name}.safetensors")
    published = facts | {"default_eos_threshold": -100.0 if ends else 100.0}
    published |= {"weights_path": "hf://somebody/somewhere/languages/tiny/model.safetensors@0123"}
    published["flow_lm"]["lookup_table"]["tokenizer_path"] = (
        "hf://somebody/somewhere/languages/tiny/tokenizer.json@4567"
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(published), encoding="utf-8")
    return folder


def _tokenizer(vocabulary: dict[str, int]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }


def _facts(n_bins: int, tokenizer: str) -> dict[str, Any]:
    transformer: dict[str, Any] = {"d_model": 32, "num_heads": 2, "num_layers": 1, "layer_scale": 0.01, "context": 50}
    transformer |= {"dim_feedforward": 32, "input_dimension": 32, "output_dimensions": [32]}
    seanet: dict[str, Any] = {
        "dimension": 32,
        "channels": 1,
        "n_filters": 4,
        "n_residual_layers": 1,
        "ratios": [6, 5, 4],
    }
    seanet |= {"kernel_size": 7, "residual_kernel_size": 3, "last_kernel_size": 3, "dilation_base": 2}
    seanet |= {"pad_mode": "constant", "compress": 2}
    return {
        "flow_lm": {
            "dtype": "float32",
            "flow": {"depth": 1, "dim": 16},
            "transformer": {"d_model": 32, "hidden_scale": 2, "max_period": 10_000, "num_heads": 2, "num_layers": 1},
            "lookup_table": {"dim": 32, "n_bins": n_bins, "tokenizer": "tokenizers", "tokenizer_path": tokenizer},
        },
        "mimi": {
            "dtype": "float32",
            "sample_rate": 24_000,
            "inner_dim": 8,
            "outer_dim": 32,
            "channels": 1,
            "frame_rate": 12.5,
            "seanet": seanet,
            "transformer": transformer,
            "quantizer": {"dimension": 8, "output_dimension": 32},
        },
    }
