"""Print the pinned lock of this environment: everything the project needs, at the versions installed here.

`make lock` writes it to requirements.lock. The lock is installed with `pip install --no-deps`, so it must be complete;
local version parts ("+cpu") are left off, so that it fits every build of the same version.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = Path(__file__).resolve().parents[1]
EXTRAS = ("baselines", "encoders", "faiss", "fonts", "interop", "remote", "train", "dev")
# Asked for by packages of the baselines; opencv-python-headless provides the same module.
EXCLUDED = frozenset({"opencv-python"})
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def applies(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    """Tell whether a requirement holds on Linux for any supported Python and any of the extras."""
    return requirement.marker is None or any(
        requirement.marker.evaluate({"python_version": python, "python_full_version": f"{python}.0", "extra": extra})
        for python in PYTHONS
        for extra in extras or ("",)
    )


def main() -> None:
    """Follow the requirements from pyproject.toml through what is installed."""
    table = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [*table["build-system"]["requires"], *table["project"]["dependencies"]]
    for extra in EXTRAS:
        wanted += table["project"]["optional-dependencies"][extra]
    waiting = [requirement for requirement in map(Requirement, wanted) if applies(requirement, ())]
    pins: dict[str, str] = {}
    followed: set[tuple[str, tuple[str, ...]]] = set()
    missing: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), tuple(sorted(requirement.extras))
        if name in EXCLUDED or (name, extras) in followed:
            continue
        followed.add((name, extras))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            missing.add(str(requirement))
            continue
        pins[name] = Version(found.version).public
        below = map(Requirement, found.requires or [])
        waiting += [each for each in below if applies(each, extras)]
    if missing:
        print(f"not installed, so left out of the lock: {', '.join(sorted(missing))}", file=sys.stderr)
    print("# Made by `make lock`. Install with: pip install --no-deps -r requirements.lock")
    for name, version in sorted(pins.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
