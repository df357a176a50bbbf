"""What the tests of CSM share: one checkpoint of toy size, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.csm_checkpoint import write_checkpoint
from tests.support.extras import need


@pytest.fixture(scope="session")
def csm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as it would be downloaded."""
    torch, _ = need("torch"), need("transformers")
    torch.set_num_threads(1)  # toy tensors are not worth a second thread
    return write_checkpoint(tmp_path_factory.mktemp("csm"))


@pytest.fixture(scope="session")
def csm_model(csm_folder: Path) -> Any:
    """The model in it, as the engine loads it."""
    from voice_mcp.tts._csm_loading import load

    return load(str(csm_folder), "cpu", "auto").model
