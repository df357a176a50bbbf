"""What Kokoro's network is given: the phonemes of the text and nothing else, in phrases of a length it speaks well."""

from __future__ import annotations

import pytest

from tests.support.extras import need
from voice_mcp.tts._kokoro_phonemes import LEAST_PHONEMES, MOST_PHONEMES, Phrase, Reader, phrases

need("kokoro_onnx")

A_SENTENCE = "The quick brown fox jumps over the lazy dog and then it sleeps for a good while."


@pytest.fixture(scope="module")
def reader() -> Reader:
    from kokoro_onnx.tokenizer import Tokenizer

    return Reader(Tokenizer().vocab)


def read(reader: Reader, text: str, language: str = "en-us") -> list[Phrase]:
    return list(phrases(text, language, lambda piece: reader.read(piece, language)))


def spoken(reader: Reader, text: str, language: str = "en-us") -> str:
    return " ".join(phrase.phonemes for phrase in read(reader, text, language))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Le weekend, un meeting.", "fr-fr"),
        ("वह software है।", "hi"),
        ("O streaming de software open source.", "pt-br"),
    ],
)
def test_the_marks_of_another_language_within_a_text_are_not_spoken(reader: Reader, text: str, language: str) -> None:
    phonemes = spoken(reader, text, language)

    assert phonemes
    assert not set("()-") & set(phonemes)


def test_brackets_of_the_text_stay_also_around_what_looks_like_such_a_mark(reader: Reader) -> None:
    assert spoken(reader, "El (en) software.", "es").count("(") == 1
    assert "ˈen" in spoken(reader, "El (en) software.", "es")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Dr. Smith is here.", "en-us"),
        ("Use e.g. this and i.e. that.", "en-gb"),
        ("Mr. Lee paid at 10 a.m. to Mrs. Day.", "en-us"),
        ("Je vois M. Dupont et Mme. Durand ici.", "fr-fr"),
        ("El Sr. García vive aquí.", "es"),
        ("Il dott. Rossi è qui.", "it"),
        ("A Sra. Silva mora na Av. Paulista.", "pt-br"),
        ("डॉ. शर्मा यहाँ है।", "hi"),
    ],
)
def test_an_abbreviation_ends_no_sentence_and_has_no_full_stop(reader: Reader, text: str, language: str) -> None:
    (phrase,) = read(reader, text, language)

    assert ". " not in phrase.phonemes
    assert phrase.pause_follows


def test_sentences_are_phrases_and_short_ones_wait_for_the_next(reader: Reader) -> None:
    assert len(read(reader, f"{A_SENTENCE} {A_SENTENCE} {A_SENTENCE}")) == 3
    assert all(len(phrase.phonemes) >= LEAST_PHONEMES for phrase in read(reader, "One. Two. Three. " * 20)[1:-1])
    assert len(read(reader, "One is first. " + "Two. " * 8)) == 2
    assert len(read(reader, "A heading\nA line of text")) == 2


def test_a_text_that_is_short_and_long_to_say_is_cut_between_words_without_a_pause(reader: Reader) -> None:
    parts = read(reader, "999999 " * 45)

    assert len(parts) > 5
    assert all(LEAST_PHONEMES <= len(phrase.phonemes) <= MOST_PHONEMES for phrase in parts)
    assert [phrase.pause_follows for phrase in parts] == [False] * (len(parts) - 1) + [True]
    assert " ".join(phrase.phonemes for phrase in parts) == reader.read("999999 " * 45, "en-us")


def test_a_long_sentence_is_cut_behind_a_clause_where_it_has_one(reader: Reader) -> None:
    clause = "the quick brown fox jumps over the lazy dog"
    parts = read(reader, f"{', '.join([clause] * 8)}.")

    assert len(parts) > 1
    assert all(phrase.phonemes.endswith(",") and phrase.pause_follows for phrase in parts[:-1])
    assert all(len(phrase.phonemes) <= MOST_PHONEMES for phrase in parts)


@pytest.mark.parametrize("text", ["", " ", "... -- !", "\n\n"])
def test_a_text_without_a_word_is_no_phrase(reader: Reader, text: str) -> None:
    assert read(reader, text) == []


def test_a_word_without_end_is_cut_too(reader: Reader) -> None:
    parts = read(reader, "a" * 2_000)

    assert all(len(phrase.phonemes) <= MOST_PHONEMES for phrase in parts)
    assert not any(phrase.pause_follows for phrase in parts[:-1])
