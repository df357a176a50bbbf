"""A CSM of toy size with random weights, in the files a real one comes in: config, weights, tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CODES = 64
"""Codes that stand for sound; the scores have three more, as in the real one."""
FRAME_SAMPLES = 1920
WINDOW = 20
"""How far back the codec looks, in positions, two a frame."""


def write_checkpoint(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """Build it, save it, and return the folder."""
    model = build_model(seed=seed, **changes)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def build_model(*, seed: int = 0, **changes: Any) -> Any:
    """The network alone, on the CPU."""
    import torch
    from transformers import CsmForConditionalGeneration

    from voice_mcp.tts._csm_codec import sounding_layers  # imports torch

    torch.manual_seed(seed)
    model = CsmForConditionalGeneration(_config(**changes)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "codec_model" not in name and parameter.ndim > 1:
                parameter.mul_(8.0)  # or all scores are the same but for their last digits
        for module in model.codec_model.modules():
            if hasattr(module, "embed_sum"):  # zeros until it is trained, which would be silence
                module.embed_sum.normal_()
        # Any frame stays below full scale: nothing is clipped that could hide a difference.
        codes = torch.randint(0, CODES, (1, model.config.num_codebooks, 20))
        loudest = model.codec_model.decode(codes).audio_values.abs().max()
        for parameter in sounding_layers(model.codec_model)[-1].parameters():
            parameter.mul_(0.25 / loudest)
    return model


def _config(**changes: Any) -> Any:
    from transformers import CsmConfig

    sizes = {"num_hidden_layers": 2, "num_key_value_heads": 2, "vocab_size": CODES + 3, "num_codebooks": 8}
    depth = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "backbone_hidden_size": 64, **sizes}
    codec = {
        "model_type": "mimi",
        "hidden_size": 32,
        "num_filters": 4,
        "upsample_groups": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 64,
        "sliding_window": WINDOW,
        "codebook_size": CODES,
        "codebook_dim": 16,
        "vector_quantization_hidden_dimension": 16,
        "num_quantizers": 8,
    }
    whole = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 8,
        "text_vocab_size": 300,
        "codebook_pad_token_id": CODES + 2,
        "pad_token_id": 258,
        "bos_token_id": 256,
        "audio_token_id": 258,
        "audio_eos_token_id": 259,
        "max_position_embeddings": 512,
        "depth_decoder_config": depth,
        "codec_config": codec,
        **sizes,
    }
    return CsmConfig(**{**whole, **changes})


def _tokenizer() -> Any:
    """A token a byte, and the four special ones that CSM's has."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|AUDIO|>", "<|audio_eos|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>", pad_token="<|AUDIO|>"
    )
