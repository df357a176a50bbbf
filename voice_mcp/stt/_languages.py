"""What Whisper calls the languages it knows: some servers answer with the name, and not with the code."""

from __future__ import annotations

import re

_CODES = """
afrikaans af albanian sq amharic am arabic ar armenian hy assamese as azerbaijani az bashkir ba basque eu belarusian be
bengali bn bosnian bs breton br bulgarian bg burmese my cantonese yue castilian es catalan ca chinese zh croatian hr
czech cs danish da dutch nl english en estonian et faroese fo finnish fi flemish nl french fr galician gl georgian ka
german de greek el gujarati gu haitian ht hausa ha hawaiian haw hebrew he hindi hi hungarian hu icelandic is
indonesian id italian it japanese ja javanese jw kannada kn kazakh kk khmer km korean ko lao lo latin la latvian lv
lingala ln lithuanian lt luxembourgish lb macedonian mk malagasy mg malay ms malayalam ml maltese mt mandarin zh
maori mi marathi mr moldavian ro mongolian mn myanmar my nepali ne norwegian no nynorsk nn occitan oc panjabi pa
pashto ps persian fa polish pl portuguese pt punjabi pa pushto ps romanian ro russian ru sanskrit sa serbian sr
shona sn sindhi sd sinhala si sinhalese si slovak sk slovenian sl somali so spanish es sundanese su swahili sw
swedish sv tagalog tl tajik tg tamil ta tatar tt telugu te thai th tibetan bo turkish tr turkmen tk ukrainian uk
urdu ur uzbek uz valencian ca vietnamese vi welsh cy yiddish yi yoruba yo
"""


def language_code(said: str) -> str | None:
    """The code for what a server called a language: ``English``, ``en`` and ``en-US`` are ``en``; else None."""
    name = said.strip().lower()
    words = _CODES.split()
    named = dict(zip(words[::2], words[1::2], strict=True)).get(name)
    if named is not None:
        return named
    code = re.split("[-_]", name)[0]
    return code if re.fullmatch("[a-z]{2,3}", code) else None
