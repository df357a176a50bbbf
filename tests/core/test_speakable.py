import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_mcp.core.speakable import speakable

PLAIN = [
    "Hello there.",
    "It costs $3,141.59, 50% off; see fig. 3 at 10:30 a.m. in v1.2.3.",
    'He said "Stop."  Then he left… e.g. with Dr. Smith (who came by and/or went).',
    "C++ and C# work 24/7 on 2024/01/05 & after – @bob knows #42, or 1/2 of it.",
    "Write to first.last_name@example.org about TCP/IP, he/she/they.",
    "Das geht übrigens auch so: „schön“ und z. B. für 5 €.",
    "Line one ends.\nLine two follows!\nIs this three?",
    "今天天气很好，我们去散步吧。好吗？",
    "می‌خواهم بروم.",
]

MARKDOWN_SCRAPS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *"*_`~[]()<>#|-=!&\\\n \t",
                "**",
                "```\n",
                "| a | b |\n|---|---|\n",
                "- ",
                "1. ",
                "> ",
                "    ",
                "](x)",
                "![",
                "<b>",
                "</b>",
                "<script>",
                "</script>",
                "<div>\n",
                "&amp;",
                "&#0;",
                "&#x1b;",
                "https://a.b/c",
                "\x1b[1m",
                "\r\n",
                "😀",
                "\\|",
                "->",
                "word",
                "snake_case",
            ]
        ),
        st.text(max_size=4),
    ),
    max_size=40,
).map("".join)

BETWEEN_WORDS = [
    *[" ", ", ", ". ", "\n", "\n\n", "\r\n", "  \n", "\\\n", "\n- ", "\n1. ", "\n> ", "\n# ", "\n\n    ", "\n    "],
    *[" *", "* ", "**", " **", "** ", " _", "_ ", " ~~", "~~ ", " [", "](x) ", "] ", " (", ") "],
    *[" | ", "\n```\n", "\n\n<div>", "</div>\n\n", " <b>", "</b> ", "<br>"],
    *[" &amp; ", " \\* ", " -> ", " 😀 ", " \x1b[1m", "\t", "\n===\n", "\n---\n", "\n<!-- ", " --> ", "&#x41;", " — "],
]


def said(message: str) -> str:
    return speakable(message).text


def heard_after(message: str, words: str) -> str:
    """The source up to where speech has got to when ``words`` have just been said."""
    result = speakable(message)
    return message[: result.source_offset(result.text.index(words) + len(words))]


# --- plain text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", PLAIN)
def test_plain_sentences_come_through_unchanged(message: str) -> None:
    assert said(message) == message


@pytest.mark.parametrize("message", PLAIN)
def test_every_word_of_plain_text_leads_back_to_itself(message: str) -> None:
    result = speakable(message)
    for word in re.finditer(r"\S+", result.text):
        assert result.source_offset(word.end()) == word.end()


@pytest.mark.parametrize(
    "message", ["", "   ", "\n\n\t\n", "😀", "👩‍💻 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️‍🔥 🇩🇪", "---", "<!-- note -->", "\x1b[0m", "\ud800"]
)
def test_what_holds_no_words_is_silent(message: str) -> None:
    assert said(message) == ""


def test_lines_wrapped_within_a_sentence_are_joined() -> None:
    assert said("This sentence goes\nover two lines.") == "This sentence goes over two lines."


def test_chinese_lines_wrapped_within_a_sentence_are_joined_without_a_space() -> None:
    assert said("今天天气\n很好。") == "今天天气很好。"


def test_what_was_said_once_is_said_the_same_again() -> None:
    first = said("# Plan\n\n1. Get `user_name`\n2. Send **it**\n\n- one\n- two\n\nThe end.")
    assert said(first) == first


# --- blocks ------------------------------------------------------------------------------------------------------


def test_a_code_block_is_announced_and_not_read() -> None:
    assert said("Run this:\n\n```python\nimport os\nprint(os)\n```\n") == "Run this:\nCode block, Python, 2 lines."


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("```\nx\n```", "Code block, 1 line."),
        ("```text\nx\n\ny\n```", "Code block, 3 lines."),
        ('```{.rs title="a"}\nx\n```', "Code block, Rust, 1 line."),
        ("    indented\n    code", "Code block, 2 lines."),
        ("~~~mermaid\nnever closed", "Code block, Mermaid, 1 line."),
        ("```\n```", ""),
    ],
)
def test_a_code_block_is_announced_by_language_and_length(message: str, expected: str) -> None:
    assert said(message) == expected


def test_a_heading_is_a_sentence() -> None:
    assert said("## The **plan**\n\nGo.\n\nNext\n====\n\nWhy?\n----") == "The plan.\nGo.\nNext.\nWhy?"


def test_list_items_end_with_a_pause_and_keep_their_numbers() -> None:
    message = "- one\n- two!\n  - inner\n\n3. three\n4. four\n"
    assert said(message) == "one.\ntwo!\ninner.\n3. three.\n4. four."


def test_tasks_say_whether_they_are_done() -> None:
    assert said("- [x] write it\n- [ ] test it") == "Done: write it.\nTo do: test it."


def test_a_small_table_is_read_row_by_row() -> None:
    message = "| Name | Age | OK |\n|---|---|---|\n| **Alice** | 3 | ✅ |\n| Bob \\| Co | | ❌ |\n"
    assert said(message) == "Name: Alice, age: 3, OK: yes.\nName: Bob, Co, OK: no."


def test_a_big_table_is_announced_by_its_columns() -> None:
    message = "| Name | Age |\n|---|---|\n" + "| Bob | 4 |\n" * 12
    assert said(message) == "Table with 12 rows: columns Name, Age."


def test_quotes_are_read_and_rules_are_silent() -> None:
    assert said("> A quote\n> in lines.\n\n***\n\nAfter.") == "A quote in lines.\nAfter."


def test_a_callout_names_its_kind() -> None:
    assert said("> [!WARNING]\n> Mind the gap.") == "Warning: Mind the gap."


# --- inside a sentence -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("**Bold**, _soft_, ***both*** and ~~gone~~ text.", "Bold, soft, both and gone text."),
        ("See [the *docs*](https://x.com/a) now.", "See the docs now."),
        ("![a cat](cat.png)", "Image: a cat"),
        ("![](cat.png) here", "here"),
        ("See https://user:pw@www.github.com/a/b_c?d=e.", "See github.com."),
        ("See <https://github.com/a> (or www.x.org/b).", "See github.com (or x.org)."),
        ("请看https://example.com/foo。谢谢", "请看example.com。谢谢"),
        ("Open http://localhost:3000/app now", "Open localhost:3000 now"),
        ("Edit src/voice_mcp/settings.py:42, please.", "Edit settings.py line 42, please."),
        ("In ~/notes.txt, C:\\Users\\me\\a.log and /usr/local/bin.", "In notes.txt, a.log and bin."),
        ("Mail <me@x.org> or mailto:you@x.org.", "Mail me@x.org or you@x.org."),
        ("Commit 3f2a9c81d04be7 is in.", "Commit 3f2a9c8 is in."),
        ("Call 550e8400-e29b-41d4-a716-446655440000 up.", "Call 550e up."),
        ("Key dGhpc0lzQVNlY3JldEtleTEyMzQ1Njc4OTA= leaked.", "Key a hash leaked."),
        ("Really??? Yes!!! Wait..... no.", "Really? Yes! Wait... no."),
        ("===== Results =====", "Results"),
        ("Settings → Audio → Output", "Settings, Audio, Output"),
        ("From 10 -> 20 in one go", "From 10 to 20 in one go"),
        ("About ~5 minutes", "About about 5 minutes"),
        ("Use max_nesting here.", "Use max nesting here."),
        ("Press ⌘C, then ↑.", "Press Command C, then up."),
        ("Done 😀! Nice 🎉 work 👍", "Done! Nice work"),
        ("1️⃣ First", "1 First"),
        ("Fish &amp; chips &lt;3 &copy; &#65;", "Fish & chips <3 © A"),
        ("H<sub>2</sub>O is <b>wet</b>", "H2O is wet"),
        ("one<br>two", "one\ntwo"),
        ("a <script>alert(1)</script>b <style>p{}</style>c", "a b c"),
        ("Replace <your-name> now", "Replace your name now"),
        ("As noted[^1].\n\n[^1]: here", "As noted."),
        ("**never closed and `this", "never closed and this"),
        ("\x1b[1;31mError:\x1b[0m no\x07 file\x1b]0;title\x07!", "Error: no file!"),
        ("5 * 3 is 15", "5 * 3 is 15"),
    ],
)
def test_markup_and_machine_words_are_put_as_a_person_would(message: str, expected: str) -> None:
    assert said(message) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("get_user_name", "get user name"),
        ("getUserName()", "get User Name"),
        ("HTTPServer", "HTTP Server"),
        ("--no-cache", "no-cache"),
        ("-v", "dash v"),
        ("pip install -r requirements.txt", "pip install dash r requirements.txt"),
        ("x == 1", "x equals 1"),
        ("$HOME", "HOME"),
        ("src/app/main.py", "main.py"),
        ("a `tick`", "a tick"),
        ("{}", "{}"),
        ("x" * 200, "a long piece of code"),
    ],
)
def test_inline_code_is_put_into_words(code: str, expected: str) -> None:
    assert said(f"Use `` {code} `` here.") == f"Use {expected} here."


def test_html_blocks_are_read_without_tags_scripts_and_comments() -> None:
    message = (
        "<div class='a'>\n<p>Hello <b>big</b>\nworld &lt;3</p><!-- no -->\n<p>Next</p><script>var x</script>\n</div>\n"
    )
    assert said(message) == "Hello big world <3\nNext"


def test_an_unclosed_script_hides_nothing() -> None:
    assert said("The <script> tag loads code.") == "The\ntag loads code."
    assert said("<script> is a tag.\n\nMore text.") == "is a tag.\nMore text."


# --- the way back to the source ----------------------------------------------------------------------------------


def test_interrupted_speech_is_cut_behind_the_mark_that_closes_the_last_word() -> None:
    message = "This is **very bold** and [a link](https://x.com/y) with `some_code` in it."
    assert heard_after(message, "bold") == "This is **very bold**"
    assert heard_after(message, "very") == "This is **very"
    assert heard_after(message, "a link") == "This is **very bold** and [a link](https://x.com/y)"
    assert heard_after(message, "some code").endswith("`some_code`")


def test_interrupted_speech_is_cut_between_list_items() -> None:
    message = "Steps:\n\n1. First **one**\n2. Second one\n"
    assert heard_after(message, "First one.") == "Steps:\n\n1. First **one**"
    assert heard_after(message, "2. Second") == "Steps:\n\n1. First **one**\n2. Second"


def test_a_code_block_is_heard_once_its_announcement_is_over() -> None:
    message = "Run:\n\n```sh\nls\n```\n\nThen stop."
    assert heard_after(message, "Code block, shell") == "Run:\n\n"
    assert heard_after(message, "1 line.") == "Run:\n\n```sh\nls\n```"


def test_repeated_words_lead_back_to_the_right_one() -> None:
    message = "> go *go* go\n> go &amp; go `go` go"
    result = speakable(message)
    ends = [result.source_offset(word.end()) for word in re.finditer("go", result.text)]
    assert [message[:end].count("go") for end in ends] == [1, 2, 3, 4, 5, 6, 7]


def test_cells_of_a_table_lead_back_to_their_own_text() -> None:
    message = "| K | V |\n|---|---|\n| a | a |\n| b \\| a | **a** |\n"
    assert heard_after(message, "K: a") == "| K | V |\n|---|---|\n| a"
    assert heard_after(message, "K: a, V: a") == "| K | V |\n|---|---|\n| a | a"
    assert heard_after(message, "b, a, V: a").endswith("| b \\| a | **a**")


def test_what_is_removed_before_parsing_does_not_shift_places() -> None:
    message = "\x1b[1mOne\x1b[0m two\r\nthree\ud800 **four** five"
    assert heard_after(message, "two") == "\x1b[1mOne\x1b[0m two"
    assert heard_after(message, "four").endswith("**four**")


@given(st.one_of(st.text(st.characters(exclude_categories=())), MARKDOWN_SCRAPS))
@settings(max_examples=400, deadline=None)
def test_any_string_gives_clean_text_and_a_way_back(message: str) -> None:
    result = speakable(message)
    assert result.source == message
    assert not [c for c in result.text if c != "\n" and unicodedata.category(c) in ("Cc", "Cs")]
    assert result.text == result.text.strip(" \n")
    offsets = [result.source_offset(k) for k in range(len(result.text) + 1)]
    assert offsets == sorted(offsets)
    assert offsets[0] == 0
    assert not result.text or offsets[-1] == len(message)


@given(st.lists(st.from_regex(r"[a-zA-Z]{1,8}[,.]?", fullmatch=True), min_size=1, max_size=30))
@settings(deadline=None)
def test_words_in_any_order_come_through_and_lead_back(words: list[str]) -> None:
    message = " ".join(words)
    result = speakable(message)
    assert result.text == message
    assert [result.source_offset(k) for k in range(len(message) + 1)] == list(range(len(message) + 1))


@given(st.lists(st.sampled_from(BETWEEN_WORDS), min_size=1, max_size=25))
@settings(max_examples=300, deadline=None)
def test_every_word_leads_back_to_where_it_stands_whatever_is_around_it(gaps: list[str]) -> None:
    words = [f"w{'abcdefghijklmnopqrstuvwxyz'[number]}x" for number in range(len(gaps))]
    message = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
    result = speakable(message)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        at = result.text.find(word)
        if at >= 0:
            end = at + len(word)
            reached = result.source_offset(end)
            latest = message.index(following) if following and end < len(result.text) else len(message)
            assert message.index(word) + len(word) <= reached <= latest


@pytest.mark.parametrize(
    "scrap", ["[", "**a ", "<a ", "`", "> ", "- ", "_", "~", "-", "://", "\x1b[", "![", "<!--", "\\", "a."]
)
def test_hostile_repetition_is_survived(scrap: str) -> None:
    result = speakable(scrap * 2000)
    assert result.source_offset(len(result.text)) in (0, len(result.source))
