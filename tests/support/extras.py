"""Packages that only an extra brings: tests that need one are skipped without it, where nobody insists."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def need(module: str) -> Any:
    """Import a module and return it; without it skip, or fail where VOICEMCP_REQUIRE_EXTRAS is 1."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        if os.environ.get("VOICEMCP_REQUIRE_EXTRAS") == "1":
            raise
        pytest.skip(f"{module} is not installed: {exc}", allow_module_level=True)
