"""How loud a voice speaks: one gain for all of an utterance, or of a voice, and never one for a piece of it.

A gain that follows the sound piece by piece makes silence loud and puts a step at every joint; that peaks stay under
the ceiling is the limiter's business.
"""

from __future__ import annotations

import math

import numpy as np

from voice_mcp.samples.convert import Samples

TARGET_LUFS = -18.0
"""Where voices are brought to: loud enough for a laptop, and 17 dB of room for peaks. Source: AES TD1008."""
QUIETEST_LUFS = -60.0
"""What is quieter is not speech, and stays as it is."""
MOST_GAIN_DB = 24.0
"""More would bring up noise, and a voice that needs it is broken."""


def gain_for(
    loudness_lufs: float, target_lufs: float = TARGET_LUFS, peak: float | None = None, *, ceiling_db: float = -1.0
) -> float:
    """The gain that brings a voice to a loudness.

    Args:
        loudness_lufs: How loud it is (ITU-R BS.1770, integrated); -inf or NaN where nothing was heard.
        target_lufs: How loud it is to be.
        peak: Its highest sample, 1.0 for full scale: the gain then keeps it under the ceiling, even if that means a
            lower loudness. None leaves peaks to the limiter.
        ceiling_db: That ceiling, in dB relative to full scale.

    Returns:
        A factor; 1.0 for silence.
    """
    if not loudness_lufs >= QUIETEST_LUFS:
        return 1.0
    gain_db = min(target_lufs - loudness_lufs, MOST_GAIN_DB)
    if peak is not None and peak > 0:
        gain_db = min(gain_db, ceiling_db - 20 * math.log10(peak))
    return float(10 ** (gain_db / 20))


def apply(gain: float, samples: Samples) -> Samples:
    """Samples times a gain; a gain of 1 gives them back as they are."""
    if gain == 1.0:
        return samples
    louder: Samples = samples * np.float32(gain)
    return louder
