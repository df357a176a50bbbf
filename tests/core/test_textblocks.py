import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_mcp.core.textblocks import BlockReader

SCRAPS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "Word",
                "word",
                " ",
                ". ",
                "! ",
                "\n",
                "\n\n",
                "\r\n",
                "```",
                "~~~",
                "- ",
                "1. ",
                "| ",
                "> ",
                "# ",
                "    ",
                "`",
                "**",
                "[",
                "](x)",
                "e.g. ",
                "。",
                "中",
            ]
        ),
        st.text(st.characters(exclude_categories=()), max_size=3),
    ),
    max_size=40,
).map("".join)


def blocks(*texts: str) -> list[str]:
    reader = BlockReader()
    return [*(block for text in texts for block in reader.push(text)), *reader.flush()]


def test_a_blank_line_ends_a_block_at_once() -> None:
    reader = BlockReader()
    assert reader.push("some words\nmore words\n") == []
    assert reader.push("\n") == ["some words\nmore words\n\n"]
    assert reader.flush() == []


def test_a_sentence_of_plain_text_is_given_back_when_the_next_one_begins() -> None:
    reader = BlockReader()
    assert reader.push("The tests pass. ") == []
    assert reader.push("N") == ["The tests pass. "]
    assert reader.push("ow what?") == []
    assert reader.flush() == ["Now what?"]


def test_sentences_on_their_own_lines_and_chinese_ones_are_given_back() -> None:
    assert blocks("One here.\nTwo here.") == ["One here.\n", "Two here."]
    assert blocks("今天很好。我们走吧。") == ["今天很好。", "我们走吧。"]


@pytest.mark.parametrize(
    "text",
    [
        "See e.g. Mr. Smith of the U.S. Army",
        "It is 5. 10 people came",
        "A [link. With text](http://x.y) here",
        "Some `code. With stops` here",
        "Some **bold. And more** here",
        "- one. Two\n- three. Four",
        "1. one. Two\n2. three. Four",
        "| a. B | c |\n|---|---|\n| d. E | f |",
        "> quoted. And more",
        "Intro:\n- one. Two",
        "- one\n\n  still. One\n\n\n  and. Two",
    ],
)
def test_what_belongs_together_stays_together(text: str) -> None:
    assert blocks(text) == [text]


def test_a_list_ends_where_something_else_follows_a_blank_line() -> None:
    assert blocks("- one\n- two\n\nThen. More") == ["- one\n- two\n\n", "Then. ", "More"]


def test_a_heading_is_a_block() -> None:
    assert blocks("# Title. With stop\nText") == ["# Title. With stop\n", "Text"]


def test_a_code_fence_is_one_block_whatever_is_in_it() -> None:
    fence = "````py\nA b. C d.\n\n```\n# x\n````\n"
    assert blocks(f"Before:\n{fence}After") == ["Before:\n", fence, "After"]


def test_a_fence_that_is_never_closed_comes_with_the_end() -> None:
    assert blocks("```\na. B\n\nc") == ["```\na. B\n\nc"]


def test_a_reader_can_be_used_again_after_the_end() -> None:
    reader = BlockReader()
    reader.push("```\nopen")
    reader.flush()
    assert reader.push("words\n\n") == ["words\n\n"]


@given(SCRAPS, st.lists(st.integers(0, 200)))
@settings(max_examples=400, deadline=None)
def test_blocks_hold_all_of_the_text_and_do_not_depend_on_how_it_was_cut(text: str, cuts: list[int]) -> None:
    whole = blocks(text)
    assert "".join(whole) == text
    assert all(whole)
    edges = [0, *sorted(min(edge, len(text)) for edge in cuts), len(text)]
    assert blocks(*(text[one:other] for one, other in zip(edges, edges[1:], strict=False))) == whole
