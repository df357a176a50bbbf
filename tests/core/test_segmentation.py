import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_mcp.core.segmentation import segment
from voice_mcp.sentences import sentence_ends

LONG = (
    "I looked at the failing test this morning, and the reason for it is quite simple. The clock of "
    "the server runs ten seconds "
    "behind. That is why the token was refused! Shall I set it right, or do you want to do it yourself?"
)


def cut(text: str, first_chars: int = 60, most_chars: int = 400) -> list[str]:
    return [part.text for part in segment(text, first_chars=first_chars, most_chars=most_chars)]


@pytest.mark.parametrize(
    "text",
    [
        "Yes.",
        "The tests pass, all of them.",
        "Dr. Smith paid $3,141.59 at 10:30, e.g. for U.S. shares at https://x.io/a,b.c",
    ],
)
def test_a_short_text_of_one_sentence_stays_whole(text: str) -> None:
    assert cut(text) == [text]


def test_nothing_makes_no_segments() -> None:
    assert segment("") == segment(" \n\t ") == []


def test_the_first_segment_is_the_first_sentence() -> None:
    assert cut("The tests pass now. " + LONG)[0] == "The tests pass now."


def test_a_long_first_sentence_is_cut_at_its_first_breath() -> None:
    assert cut(LONG)[0] == "I looked at the failing test this morning,"


def test_a_long_first_sentence_without_commas_is_cut_before_a_conjunction() -> None:
    text = "I looked at the failing test this morning because nobody else had had the time to look at it so far."
    assert cut(text) == [
        "I looked at the failing test this morning",
        "because nobody else had had the time to look at it so far.",
    ]


def test_a_very_short_first_sentence_takes_the_next_one_along() -> None:
    assert cut("Yes. No. The tests pass now. " + LONG)[0] == "Yes. No. The tests pass now."


def test_later_segments_grow_and_end_with_sentences() -> None:
    parts = cut("The tests pass once more. " * 60)
    lengths = [len(part) for part in parts[:-1]]
    assert lengths == sorted(lengths)
    assert lengths[0] < 60 < lengths[1] <= 120
    assert 300 < lengths[-1] <= 400
    assert all(part.endswith(".") for part in parts)


def test_an_overlong_sentence_is_cut_at_a_clause_rather_than_between_words() -> None:
    text = "Short one to start with. " + "a few words more, " * 40
    parts = cut(text)
    assert max(map(len, parts)) <= 400
    assert all(part.endswith(("more,", ".")) for part in parts)


def test_an_overlong_sentence_without_clauses_is_cut_between_words() -> None:
    parts = cut("word " * 300)
    assert all(set(part.split()) == {"word"} for part in parts)


def test_text_without_spaces_is_cut_at_the_limit() -> None:
    assert [len(part) for part in cut("x" * 1000)] == [400, 400, 200]


def test_a_cut_never_tears_a_character_from_its_accents() -> None:
    parts = cut("ae\u0301\u0302" * 200, most_chars=50)
    assert all(part.startswith(("a", "e")) for part in parts)
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert set(cut(family * 30, most_chars=12)) == {family * 2}


def test_line_ends_and_wide_full_stops_end_sentences() -> None:
    assert cut("The first heading.\nThe second heading.", first_chars=20)[0] == "The first heading."
    assert cut("The first line here\nThe second line here", first_chars=20)[0] == "The first line here"
    assert cut("今天天气很好。我们去散步吧！", first_chars=5)[0] == "今天天气很好。"


def test_the_number_of_a_list_item_stays_with_the_item() -> None:
    ends = sentence_ends("1. One thing. 2. Another thing.")
    assert ends == [len("1. One thing. "), len("1. One thing. 2. Another thing.")]


@pytest.mark.parametrize(
    "text",
    [
        "It is 3.14 or 3,141.59 at 10:30.",
        "See e.g. this and i.e. that by Dr. Smith of the U.S. Army.",
        "It weighs approx. 5 kg.",
        "Call np.Array on Node.js or see https://x.com/a.B?c=d!E now.",
        "He came vs. them etc. and so on.",
    ],
)
def test_numbers_abbreviations_and_addresses_hold_no_sentence_end(text: str) -> None:
    assert sentence_ends(text) == [len(text)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("M. Dupont et Mme. Durand voient le Dr. Petit, p. ex. ici.", "fr-FR"),
        ("EE. UU. es grande.", "es"),
        ("A Sra. Silva mora na Av. Paulista.", "pt-BR"),
        ("डॉ. शर्मा यहाँ है।", "hi"),
    ],
)
def test_abbreviations_of_a_language_end_no_sentence_in_it(text: str, language: str) -> None:
    assert sentence_ends(text, language) == [len(text)]


@pytest.mark.parametrize("language", ["en", "en-GB", "de", "zh", "", "no such language", "\ud800"])
def test_any_language_is_taken(language: str) -> None:
    assert "".join(part.text for part in segment("One two three. Four.", language=language)).startswith(
        "One two three."
    )


def test_an_open_quote_before_many_sentences_ends_them_all_the_same() -> None:
    text = "\u201cIt works. " * 1000
    assert len(segment(text)) > 20


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.lists(
        st.sampled_from(
            [
                "a",
                "word",
                "Dr.",
                "e.g.",
                "3,141.59",
                " ",
                "  ",
                ". ",
                ", ",
                "! ",
                "\n",
                "\r",
                "。",
                "中",
                "\u0301",
                "\u200d",
                "\ud83d",
                "\ude00",
                "“",
                "—",
                " and ",
            ]
        )
    ).map("".join),
)


@given(TEXTS, st.integers(1, 80), st.integers(1, 120), st.integers(1, 150))
@settings(max_examples=400, deadline=None)
def test_segments_hold_everything_but_white_space_once_and_in_order(
    text: str, first: int, most: int, hard: int
) -> None:
    parts = segment(text, first_chars=first, most_chars=most, hard_limit_chars=hard)
    assert "".join("".join(part.text.split()) for part in parts) == "".join(text.split())
    assert all(text[part.start : part.end] == part.text == part.text.strip() for part in parts)
    assert all(1 <= len(part.text) <= hard for part in parts)
    assert all(one.end <= other.start for one, other in zip(parts, parts[1:], strict=False))
