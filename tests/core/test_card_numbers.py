from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_mcp.core.card_numbers import card_numbers


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in card_numbers(text)]


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4222222222222",
        "5555 5555 5555 4444",
        "2223003122003222",
        "3782 822463 10005",
        "6011 1111 1111 1117",
        "3056 930902 5904",
        "3530111333300000",
        "6759649826438453",
    ],
)
def test_the_numbers_that_issuers_publish_for_trials_are_found(number: str) -> None:
    assert found(f"Charge {number}, please.") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "Call +49 170 1234567 or 1-800-555-0199.",
        "1732096637693 is a moment, 20261120111722693 another.",
        "My account is DE89 3704 0044 0532 0130 00.",
        "0.4111111111111111 and id-4111111111111111 and 4111111111111111x",
        "9111 1111 1111 1111",
    ],
)
def test_other_numbers_are_none(text: str) -> None:
    assert found(text) == []


@given(st.integers(0, 9), st.integers(0, 15))
def test_one_digit_that_is_wrong_makes_it_no_card_number(digit: int, place: int) -> None:
    number = "4111111111111111"
    wrong = number[:place] + str(digit) + number[place + 1 :]
    assert found(wrong) == ([wrong] if wrong == number else [])
