"""``Retry-After``: for how long a server asks to be left alone. Source: RFC 9110, section 10.2.3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]*)?")
"""RFC 9110 has whole seconds only; some servers send parts of one."""


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds from now, 0 when the moment has passed, None when the headers say nothing that makes sense.

    Args:
        headers: Of the answer, in any spelling a header mapping understands.
    """
    said = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(said):
        return float(said)
    until = _moment(said)
    if until is None:
        return None
    # Both moments by the server's clock, if it gives it: ours may be wrong.
    now = _moment(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _moment(said: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(said)
    except (ValueError, OverflowError):  # the latter for moments that no calendar has
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
