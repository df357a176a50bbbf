"""The weights that can be installed: what each file is, where it comes from, and how to know that it is the one.

Sizes and SHA-256 are those of the files at these addresses; what they were checked against is in
docs/recognisers.md and docs/engines.md. The addresses name one revision each, so that what is checked cannot change
under them.
"""

from __future__ import annotations

from voice_mcp.storage.model_entry import Model, Purpose, WeightFile
from voice_mcp.storage.speaking_catalogue import SPEAKING_MODELS

_WHISPER = "https://huggingface.co/ggerganov/whisper.cpp/resolve/5359861c739e955e79d9a303bcbc70fb988958b1"
_WHISPER_LICENCE = "MIT (OpenAI, Whisper)"


def _whisper(name: str, size_bytes: int, sha256: str, about: str) -> Model:
    file = f"ggml-{name}.bin"
    weights = WeightFile(file, size_bytes, sha256, f"{_WHISPER}/{file}")
    return Model(name, Purpose.LISTENING, (weights,), _WHISPER_LICENCE, about)


CATALOGUE = (
    _whisper(
        "tiny",
        77_691_713,
        "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21",
        "99 languages, the quickest",
    ),
    _whisper(
        "tiny.en",
        77_704_715,
        "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f",
        "English, the quickest",
    ),
    _whisper(
        "base", 147_951_465, "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe", "99 languages, quick"
    ),
    _whisper(
        "base.en", 147_964_211, "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002", "English, quick"
    ),
    _whisper(
        "base-q8_0",
        81_768_585,
        "c577b9a86e7e048a0b7eada054f4dd79a56bbfa911fbdacf900ac5b567cbb7d9",
        "99 languages, base in half the memory",
    ),
    _whisper(
        "small", 487_601_967, "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b", "99 languages, good"
    ),
    _whisper(
        "small-q8_0",
        264_464_607,
        "49c8fb02b65e6049d5fa6c04f81f53b867b5ec9540406812c643f177317f779f",
        "99 languages, small in half the memory",
    ),
    _whisper(
        "small.en", 487_614_201, "c6138d6d58ecc8322097e0f987c32f1be8bb0a18532a3f88f734d1bbf9c41e5d", "English, good"
    ),
    _whisper(
        "large-v3-turbo-q5_0",
        574_041_195,
        "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2",
        "99 languages, the best; for fast machines",
    ),
    Model(
        "smart-turn",
        Purpose.TURN,
        (
            WeightFile(
                "smart-turn.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                "https://huggingface.co/pipecat-ai/smart-turn-v3/resolve/main/smart-turn-v3.2-cpu.onnx",
            ),
        ),
        "BSD-2-Clause (Daily, Smart Turn)",
        "tells when a speaker is through",
    ),
    *SPEAKING_MODELS,
)
