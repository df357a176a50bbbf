"""Packages that only an extra brings: a test that needs one is skipped without it, or fails where all must be there."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def need(module: str) -> Any:
    """The module, imported; without it the test is skipped, or fails when VOICEMCP_REQUIRE_EXTRAS=1."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if os.environ.get("VOICEMCP_REQUIRE_EXTRAS") == "1":
            pytest.fail(f"{module} is not installed.")
        pytest.skip(f"{module} is not installed.", allow_module_level=True)
