"""Short answers after which nothing more is to be expected: "yes please", "number two", "that's all, thanks". Pure.

Known in English, German, French and Spanish; digits in every language. What is not known is no clear end, and is
waited for as usual: the worst that a gap in these lists costs is a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from voice_mcp.core.spoken_words import Word, phrase_set, word_set, words_of

LONGEST_WORDS = 6
"""Who says more than this may have more to say."""
POLITE_AFTER_WORDS = 3
"""How many words must come before a closing "please": "could you please" goes on."""

_ANSWERS = {
    "en": "yes|yeah|yep|yup|no|nope|ok|okay|sure|of course|absolutely|definitely|exactly|correct|right|fine|good|great|"
    "perfect|agreed|never mind|stop|cancel|quit|continue|go on|go ahead|carry on|do it|do that|do so|proceed|done|next|"
    "skip it|leave it|that's right|that's fine|that's it|that's all|that's enough|that is all|sounds good|looks good|"
    "thanks|thank you|thank you very much|thanks a lot|bye|goodbye|good bye|neither|both|none|all of them|"
    "none of them|the first|the second|the third|the last|the first one|the second one|the third one|the last one|"
    "this one|that one|option a|option b|option c",
    "de": "ja|jawohl|nein|nee|okay|ok|gut|genau|richtig|stimmt|klar|natürlich|passt|stopp|stop|halt|abbrechen|weiter|"
    "mach das|mach weiter|fertig|danke|vielen dank|danke schön|das ist alles|das war's|das wär's|tschüss|beide|keines|"
    "das erste|das zweite|das dritte|das letzte|der erste|der zweite|der letzte|die erste|die zweite|die letzte",
    "fr": "oui|ouais|non|d'accord|ok|okay|bien sûr|exactement|parfait|c'est bon|c'est ça|stop|arrête|arrêtez|continue|"
    "continuez|vas-y|allez-y|merci|merci beaucoup|c'est tout|au revoir|les deux|aucun|le premier|la première|"
    "le deuxième|la deuxième|le dernier|la dernière",
    "es": "sí|si|no|vale|ok|okay|claro|claro que sí|por supuesto|exacto|correcto|perfecto|está bien|de acuerdo|para|"
    "alto|sigue|continúa|adelante|hazlo|gracias|muchas gracias|eso es todo|nada más|adiós|los dos|ninguno|el primero|"
    "la primera|el segundo|la segunda|el último|la última",
}
_NUMBERS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half "
    "number percent",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
    "siebzehn achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig hundert tausend "
    "nummer prozent",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize vingt trente "
    "quarante cinquante soixante cent mille numéro",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince veinte treinta "
    "cuarenta cincuenta sesenta setenta ochenta noventa cien mil número",
}
_NOT_LAST = word_set("number nummer numéro número and")
"""More follows."""
_BESIDE = word_set(
    "uh um uhm er erm ah oh hm well please just then now and äh ähm bitte dann doch euh s'il vous te plaît alors bueno "
    "pues por favor"
)
"""Words that make an answer neither longer nor less clear."""
_CLOSINGS = phrase_set("please|thanks|thank you|bitte|danke|merci|gracias")
_PLEASE = word_set("please bitte")
_GOES_ON_AFTER = word_set("i you we they can could would will may to and or but if ich du sie kannst könntest")
"""After these even a "please" is followed by more."""
_GOING_ON = ("...", "…", ",", ";", ":", "-", "–", "—", "、", "，")
"""What a recogniser writes where a voice stays up."""


def is_clear_end(text: str, language: str | None = None) -> bool:
    """Whether somebody who has said this is through, as far as words can tell.

    Args:
        text: A transcript of the turn so far.
        language: ISO 639-1 code; None looks in every language that is known.
    """
    if text.rstrip().endswith(_GOING_ON):
        return False
    words = words_of(text)
    return bool(words) and (_is_answer(words, _languages(language)) or _closes_politely(words))


def _languages(language: str | None) -> tuple[str, ...]:
    if language is None:
        return tuple(_ANSWERS)
    code = language.casefold().replace("_", "-").partition("-")[0]
    return (code,) if code in _ANSWERS else ()


def _is_answer(words: list[Word], languages: Iterable[str]) -> bool:
    if len(words) > LONGEST_WORDS or words[-1].text in _NOT_LAST:
        return False
    spoken = tuple(word.text for word in words)
    if all(word in _BESIDE for word in spoken):
        return False
    if all(word.isdecimal() or word in _BESIDE for word in spoken):
        return True
    return any(_is_made_of(spoken, _phrases(language)) for language in languages)


@cache
def _phrases(language: str) -> frozenset[tuple[str, ...]]:
    return frozenset(phrase_set(_ANSWERS[language])) | {(number,) for number in word_set(_NUMBERS[language])}


def _is_made_of(spoken: tuple[str, ...], phrases: frozenset[tuple[str, ...]]) -> bool:
    """Whether the words are nothing but phrases, figures and courtesies, one after the other."""
    reached = {0}
    for at in range(len(spoken)):
        if at not in reached:
            continue
        if spoken[at].isdecimal() or spoken[at] in _BESIDE:
            reached.add(at + 1)
        reached |= {at + len(phrase) for phrase in phrases if spoken[at : at + len(phrase)] == phrase}
    return len(spoken) in reached


def _closes_politely(words: list[Word]) -> bool:
    """Whether a longer turn ends with "please" or thanks, which nobody says in the middle."""
    spoken = tuple(word.text for word in words)
    closing = next((each for each in _CLOSINGS if spoken[-len(each) :] == each), None)
    if closing is None:
        return False
    before = spoken[: -len(closing)]
    if closing[0] in _PLEASE:
        return len(before) >= POLITE_AFTER_WORDS and before[-1] not in _GOES_ON_AFTER
    return bool(before) and words[-len(closing)].is_set_off
