"""The weights of voices that can be installed. What sizes and checksums were compared with is in docs/engines.md.

Voices of piper stand under the licences of the recordings they learnt from; only those are here whose licence is known.
"""

from __future__ import annotations

from voice_mcp.storage.model_entry import Model, Purpose, WeightFile

_KOKORO = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
_KOKORO_LICENCE = "Apache-2.0 (hexgrad, Kokoro-82M)"
_PIPER = "https://huggingface.co/rhasspy/piper-voices/resolve/1162a9173d0ce503555aed757976b7a9912eae4c"

_KOKORO_VOICES = WeightFile(
    "voices-v1.0.bin",
    28_214_398,
    "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
    f"{_KOKORO}/voices-v1.0.bin",
)


def _kokoro(name: str, file: str, size_bytes: int, sha256: str, about: str) -> Model:
    network = WeightFile(file, size_bytes, sha256, f"{_KOKORO}/{file}")
    return Model(name, Purpose.SPEAKING, (network, _KOKORO_VOICES), _KOKORO_LICENCE, about)


def _piper(name: str, network: tuple[int, str], description: tuple[int, str], licence: str, about: str) -> Model:
    language, speaker, quality = name.split("-")
    folder = f"{_PIPER}/{language.partition('_')[0]}/{language}/{speaker}/{quality}"
    files = tuple(
        WeightFile(file, size_bytes, sha256, f"{folder}/{file}")
        for file, (size_bytes, sha256) in ((f"{name}.onnx", network), (f"{name}.onnx.json", description))
    )
    return Model(name, Purpose.SPEAKING, files, licence, about)


SPEAKING_MODELS = (
    _kokoro(
        "kokoro",
        "kokoro-v1.0.onnx",
        325_532_387,
        "7d5df8ecf7d4b1878015a32686053fd0eebe2bc377234608764cc0ef3636a6c5",
        "7 languages, many voices",
    ),
    _kokoro(
        "kokoro-int8",
        "kokoro-v1.0.int8.onnx",
        92_361_271,
        "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        "kokoro in a third of the size",
    ),
    _piper(
        "en_US-ljspeech-medium",
        (63_531_379, "6f52a751e2349abe7a76735eb09dc1875298c77ea2342ffd2fef79ff81b87f22"),
        (4_972, "141d612cc0a95ed7efc1ca936b845c2364967f2e9217c5dbfcf69fc4d6c65860"),
        "public domain (LJ Speech)",
        "piper: English, a woman",
    ),
    _piper(
        "en_US-ljspeech-high",
        (114_199_011, "5d4f08ba6a2a48c44592eed3ce56bf85e9de3dd4e20df90541ae68a8310c029a"),
        (4_970, "7e1f4634af596d83cca997fb7a931ba80b70f8a316a2655ee69c55365e0ace14"),
        "public domain (LJ Speech)",
        "piper: the same, larger",
    ),
    _piper(
        "en_US-joe-medium",
        (63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
        (4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
        "CC0 (Nabu Casa)",
        "piper: English, a man",
    ),
    _piper(
        "en_GB-alba-medium",
        (63_201_294, "401369c4a81d09fdd86c32c5c864440811dbdcc66466cde2d64f7133a66ad03b"),
        (4_888, "aa965a2f02ecced632c2694e1fc72bbff6d65f265fab567ca945918c73dd89f4"),
        "CC-BY-4.0 (University of Edinburgh)",
        "piper: Scottish English, a woman",
    ),
    _piper(
        "de_DE-thorsten-medium",
        (63_201_294, "7e64762d8e5118bb578f2eea6207e1a35a8e0c30595010b666f983fc87bb7819"),
        (4_819, "974adee790533adb273a1ac88f49027d2a1b8f0f2cf4905954a4791e79264e85"),
        "CC0 (Thorsten-Voice)",
        "piper: German, a man",
    ),
    _piper(
        "es_ES-davefx-medium",
        (63_201_294, "6658b03b1a6c316ee4c265a9896abc1393353c2d9e1bca7d66c2c442e222a917"),
        (4_817, "0e0dda87c732f6f38771ff274a6380d9252f327dca77aa2963d5fbdf9ec54842"),
        "CC0 (davefx)",
        "piper: Spanish, a man",
    ),
    _piper(
        "fr_FR-siwis-medium",
        (63_201_294, "641d1ab097da2b81128c076810edb052b385decc8be3381814802a64a73baf99"),
        (4_875, "39479916c2db192b5ac9764daddd0c744d83e023ad890c6976c0633ae4df8959"),
        "CC-BY-4.0 (SIWIS)",
        "piper: French, a woman",
    ),
)
