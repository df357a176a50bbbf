"""What CSM is given to read: who speaks and what, and for a voice what it sounds like.

    <begin>[0]What is said.<end> sound … sound, end of sound      a voice's example, if there is one
    <begin>[0]The text to speak.<end>                             and from here on it makes sound itself

Source: the chat template of sesame/csm-1b.

Imports torch: load this file only once the engine is used.
"""

from __future__ import annotations

from typing import Any

import torch

from voice_mcp.errors import EngineError, EngineMissing
from voice_mcp.tts._csm_frames import FrameMaker
from voice_mcp.tts._csm_layers import Tensor, without_gradients
from voice_mcp.tts._espeak_text import clean

_BEGIN, _END = "<|begin_of_text|>", "<|end_of_text|>"


def token_ids(tokenizer: Any, speaker: int, text: str, most: int) -> list[int]:
    """A text as the backbone reads it.

    Args:
        tokenizer: The checkpoint's.
        speaker: Who speaks, 0 to 9.
        text: What is said.
        most: More tokens than that are refused.

    Raises:
        EngineError: It is too long.
        EngineMissing: The tokenizer is not one of CSM's.
    """
    begin, end = (tokenizer.convert_tokens_to_ids(token) for token in (_BEGIN, _END))
    if begin is None or end is None or begin == end:
        raise EngineMissing(
            "The tokenizer of the checkpoint is not CSM's.",
            hint="Set VOICEMODE_CSM_MODEL to a whole checkpoint of CSM.",
        )
    # A text that spells a special token out means its letters.
    plain = " ".join(clean(text).split()).replace("<|", "< |")
    ids = [begin, *tokenizer.encode(f"[{speaker}]{plain}", add_special_tokens=False), end]
    if len(ids) > most:
        raise EngineError(
            f"The text is too long for csm: {len(ids)} tokens, of {most} at most.", hint="Send it in shorter pieces."
        )
    return ids


@without_gradients
def example(maker: FrameMaker, codec: Any, token_ids: list[int], sound: Tensor) -> Tensor:
    """A voice's example: its text and its sound.

    Args:
        maker: Whose backbone is to read it.
        codec: A ``MimiModel``.
        token_ids: What is said.
        sound: Samples at 24 kHz, (n,), -1 to 1.

    Returns:
        What the backbone reads, (1, positions, hidden size).
    """
    waves = sound.to(device=maker.device, dtype=torch.float32)[None, None]
    codes = codec.encode(waves, num_quantizers=maker.codebooks).audio_codes.transpose(1, 2)
    end = torch.full_like(codes[:, :1], maker.end_code)
    heard = maker.embed_codes(torch.cat((codes, end), dim=1))
    return torch.cat((maker.embed_text(token_ids), heard), dim=1)
