"""What CI looks at of the packages that come along, and what is said of those that are in the wheel."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name: str, *flaws: dict[str, Any], skipped: str = "") -> dict[str, Any]:
    return {"name": name, "skip_reason": skipped} if skipped else {"name": name, "version": "1.0", "vulns": list(flaws)}


def test_a_known_vulnerability_fails_and_is_named() -> None:
    flaw = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"], "aliases": [], "description": "bad"}
    code, lines = script("audit").verdict({"dependencies": [package("good"), package("bad", flaw)]})
    assert code == 1
    assert lines == ["bad 1.0: PYSEC-2026-1, mended in 1.1", "2 packages were looked up, 1 known vulnerabilities"]


def test_what_could_not_be_looked_up_is_a_warning() -> None:
    unknown = package("one", skipped="not found"), package("voice-mcp", skipped="not found")
    code, lines = script("audit").verdict({"dependencies": [*unknown, package("good")]})
    assert code == 0
    assert lines[-1] == "warning: 1 could not be looked up: one"


def test_every_dependency_has_a_licence_that_is_known() -> None:
    licences = script("licences")
    wanted = {re.split(r"[<>=~!\[; ]", line)[0].lower() for line in PROJECT["project"]["dependencies"]}
    found = {each.name.lower(): licences.licence(each) for each in distributions() if each.name.lower() in wanted}
    assert len(found) >= len(wanted) - 2  # some are for other systems or other Pythons
    assert {name: said for name, said in found.items() if not licences.KNOWN.search(said)} == {}


def test_a_package_without_a_licence_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "strange-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: strange\nVersion: 1.0\n", encoding="utf-8")
    assert script("licences").main(str(tmp_path)) == 1
    assert "no licence that is known here: strange" in capsys.readouterr().out


@pytest.mark.parametrize("line", PROJECT["project"]["dependencies"])
def test_every_dependency_is_bound_below_and_above(line: str) -> None:
    assert re.match(r"[a-z0-9-]+>=[\d.]+,<[\d.]+(;|$)", line.partition(" ")[0])


def test_what_is_in_the_wheel_besides_our_code_is_listed() -> None:
    (listed,) = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["sbom-files"]
    contents = json.loads((ROOT / listed).read_text(encoding="utf-8"))
    assert (contents["bomFormat"], contents["specVersion"]) == ("CycloneDX", "1.6")
    said = " ".join(component["description"] for component in contents["components"])
    foreign = [path.relative_to(ROOT).as_posix() for path in (ROOT / "voice_mcp").rglob("*.npz")]
    assert foreign
    assert [name for name in foreign if name not in said] == []
