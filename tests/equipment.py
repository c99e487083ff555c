"""What the tests in a browser need and pip does not bring: a Chromium, and axe-core (MPL-2.0, for tests alone).

`python -m tests.equipment` fetches what is missing, or says in a sentence what to install.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.browser import NAMES

ROOT = Path(__file__).resolve().parent.parent
AXE = ROOT / ".venv" / "axe" / "axe.min.js"
AXE_VERSION = "4.14.1"
AXE_SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="


class Missing(Exception):
    """Something cannot be had here. The text says what to do."""


def chromium() -> None:
    """A Chromium, of the distribution.

    Raises:
        Missing: there is none, and it cannot be installed.
    """
    if not any(shutil.which(name) for name in NAMES):
        _apt("chromium", "fonts-dejavu-core")


def axe() -> None:
    """axe-core in the version that is written here, by its digest.

    Raises:
        Missing: it cannot be fetched, or is not what the digest is of.
    """
    if AXE.exists():
        return
    if not shutil.which("npm"):
        _apt("npm")
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            ["npm", "pack", "--silent", f"axe-core@{AXE_VERSION}"], cwd=scratch, check=False, stdout=subprocess.DEVNULL
        )
        packed = Path(scratch) / f"axe-core-{AXE_VERSION}.tgz"
        if done.returncode or not packed.exists():
            raise Missing(f"axe-core {AXE_VERSION} cannot be fetched with npm: the package index does not answer")
        if base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() != AXE_SHA512:
            raise Missing(f"axe-core {AXE_VERSION} is not the file whose digest is written in tests/equipment.py")
        with tarfile.open(packed) as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            AXE.parent.mkdir(parents=True, exist_ok=True)
            AXE.write_bytes(member.read())


def _apt(*packages: str) -> None:
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(
            f"the tests in a browser need {names}: install {names}, for instance `sudo apt-get install {names}`"
        )
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        if subprocess.run(["apt-get", *arguments], env=quietly, check=False, stdout=subprocess.DEVNULL).returncode:
            raise Missing(f"the tests in a browser need {names}, and apt-get could not install it")


def main() -> int:
    """Fetch what is missing; the exit code."""
    try:
        chromium()
        axe()
    except Missing as fault:
        sys.stderr.write(f"{fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
