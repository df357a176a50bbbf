"""The benchmark for machines with a GPU: it runs, at toy size, where nothing of ours but the engine is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.extras import need

ROOT = Path(__file__).parent.parent.parent
LONGEST_RUN_S = 90.0
RUN = """
import runpy, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ["csm_gpu", *{arguments!r}]
runpy.run_module("benchmarks.csm_gpu", run_name="__main__")
"""
ALSO_THEIRS = {"anyio", "numpy", "rich", "typer", "typing_extensions", "filelock", "httpx2", "openai"}
"""What torch and transformers bring along, or look for."""


def run(*arguments: str, absent: frozenset[str] = frozenset(), code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(names=sorted(absent), arguments=arguments)],
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_it_needs_nothing_of_ours_but_the_engine() -> None:
    need("transformers")
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    ours = {re.split(r"[<>=~!\[; ]", line)[0].replace("-", "_") for line in lines} - ALSO_THEIRS
    assert {"mcp", "pydantic", "av", "sounddevice"} <= ours
    arguments = ("--child", "none", "--tiny", "--device", "cpu", "--frames", "3", "--repeats", "1")
    printed = run(*arguments, absent=frozenset(ours))

    figures = json.loads(printed.splitlines()[-1].removeprefix("RESULT "))
    assert figures["frames_like_generate"] == 1.0
    assert figures["stream_difference"] < 1e-4 * figures["loudest"]
    assert figures["samples_missing"] == 0
    assert figures["first_sound_ms"] > 0
    assert figures["real_time_factor"] > 0


def test_a_variant_that_runs_out_of_time_is_reported_and_costs_the_others_nothing() -> None:
    need("transformers")
    printed = run("--tiny", "--device", "cpu", "--variants", "none,compiled", "--budget", "2.5", code=1)

    results = json.loads(printed.splitlines()[-1])
    assert results["none"]["error"].startswith("stopped after")
    assert results["compiled"]["error"] == "no time was left for it"
