"""Lists the licence of every package that is installed; one that names none, or none that is known here, fails.

python .ci/licences.py FOLDER
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, distributions

KNOWN = re.compile(
    r"0BSD|Apache|BSD|CC0|HPND|ISC|MIT|MPL|Mozilla|PSF|Python Software Foundation|Unlicense|Zlib", re.IGNORECASE
)
"""Licences under which a package may come with one under MIT."""
LOOKED_UP = {"espeakng-loader": "MIT (its metadata does not say; the library in it: GPL-3.0-or-later)"}
"""Packages that do not name their licence where it can be read. Source: their repositories; see docs/adr/0002."""
LONGEST = 60


def licence(package: Distribution) -> str:
    """The licence a package names, as short as it can be said; empty when it names none."""
    meta = package.metadata
    classified = [line.rpartition("::")[2].strip() for line in meta.get_all("Classifier", []) if "License ::" in line]
    named = (meta.get("License") or "").strip().partition("\n")[0]
    said = meta.get("License-Expression") or ("" if named == "UNKNOWN" else named)
    if not said or (len(said) > LONGEST and classified):
        said = ", ".join(classified)
    return said[:LONGEST] or LOOKED_UP.get(package.name, "")


def main(folder: str) -> int:
    """Print the list; returns the exit code."""
    packages = sorted(distributions(path=[folder]), key=lambda package: package.name.lower())
    for package in packages:
        print(f"{package.name:<28} {package.version:<18} {licence(package) or '?'}")
    unknown = [package.name for package in packages if not KNOWN.search(licence(package))]
    if unknown:
        print(f"no licence that is known here: {', '.join(unknown)}")
    return 1 if unknown or not packages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
