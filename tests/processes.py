"""Programs in processes of their own; conftest.py sees to it that they find the package."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

PYTHON = [sys.executable]
FASTCONV = [sys.executable, "-m", "fastconv"]


def run(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run to the end within two minutes, whatever the exit code, and keep what was printed."""
    environment = os.environ | options.pop("env", {})
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
        **options,
    )
