"""Asks the package index for known vulnerabilities of what is installed: found ones fail, silence is a warning.

    python .ci/audit.py FOLDER

FOLDER holds installed packages; pip-audit has to be installed for the Python that runs this.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

LONGEST_S = 60.0
SOCKET_S = 5
FOUND, CLEAN = 1, 0
"""Exit codes."""
WARNING = "warning: "


def main(folder: str) -> int:
    """Audit ``folder`` and print the verdict; returns the exit code."""
    command = [sys.executable, "-m", "pip_audit", "--path", folder, "--format", "json", "--skip-editable"]
    command += ["--progress-spinner", "off", "--timeout", str(SOCKET_S)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        print(f"{WARNING}nothing was audited: no answer within {LONGEST_S:.0f} s")
        return CLEAN
    except ValueError:
        print(f"{WARNING}nothing was audited: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
        return CLEAN
    code, lines = verdict(report)
    print("\n".join(lines))
    return code


def verdict(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """What a report of pip-audit means: the exit code, and lines that say it."""
    packages = report["dependencies"]
    # The package itself is on no index before it is published.
    skipped = [package["name"] for package in packages if "skip_reason" in package and package["name"] != "voice-mcp"]
    lines = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'none'}"
        for package in packages
        for flaw in package.get("vulns", ())
    ]
    code = FOUND if lines else CLEAN
    asked = len([package for package in packages if "skip_reason" not in package])
    lines.append(f"{asked} packages were looked up, {len(lines)} known vulnerabilities")
    if skipped and not asked:
        lines.append(f"{WARNING}the index told of none of them")
    elif skipped:
        lines.append(f"{WARNING}{len(skipped)} could not be looked up: {', '.join(skipped)}")
    return code, lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
