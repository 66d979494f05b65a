"""Python in a process of its own, with the package that the tests import.

``-P`` keeps the current folder off the path: a checkout holds the sources, not the extension.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastconv

PYTHON = [sys.executable, "-P"]
FASTCONV = [*PYTHON, "-m", "fastconv"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])}


def run(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end within two minutes, whatever the exit code, and keep what was printed."""
    environment = ENVIRONMENT | options.pop("env", {})
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
        **options,
    )
