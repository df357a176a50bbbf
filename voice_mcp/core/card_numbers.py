"""Payment card numbers in a text: the right length for their issuer, and the right check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator

_GROUPED = re.compile(r"(?<![\w.+-])\d(?:[ \u00a0\u202f-]?\d){11,18}(?![\w-])", re.ASCII)
"""12 to 19 digits, in groups or in one."""
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),  # Visa
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile(r"3[47]"), (15,)),  # American Express
    (re.compile(r"30[0-5]|3[689]"), (14, 15, 16, 17, 18, 19)),  # Diners Club
    (re.compile(r"6011|64[4-9]|65|62|81"), (16, 17, 18, 19)),  # Discover, UnionPay
    (re.compile(r"35(2[89]|[3-8])"), (16, 17, 18, 19)),  # JCB
    (re.compile(r"50(18|20|38)|5893|6304|67(59|6[123])"), tuple(range(12, 20))),  # Maestro
)
"""How numbers begin, and how long they are then. Source: ISO/IEC 7812, and the issuers' own ranges."""


def card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where in ``text`` card numbers begin and end."""
    for found in _GROUPED.finditer(text):
        digits = "".join(filter(str.isdigit, found[0]))
        if _has_an_issuer(digits) and _has_its_check_digit(digits):
            yield found.span()


def _has_an_issuer(digits: str) -> bool:
    return any(beginning.match(digits) and len(digits) in lengths for beginning, lengths in _ISSUERS)


def _has_its_check_digit(digits: str) -> bool:
    """Luhn: every second digit from the right counts double, and a sum of two digits as their sum."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0
