"""``fastconv info``: what is installed and what it makes of this machine."""

from __future__ import annotations

import argparse
import platform
import sys
from typing import Any

import numpy as np

import fastconv
from fastconv import runtime
from fastconv.cli import _common
from fastconv.datasets import fashion_mnist


def add_parser(commands: Any) -> None:
    """Add ``info`` to the command line."""
    parser = commands.add_parser(
        "info",
        help="show version, instruction set, threads and build",
        description="Show the version, the instruction set in use, threads and build facts.",
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the facts."""
    facts: dict[str, Any] = {
        "version": fastconv.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": f"{sys.platform} {platform.machine()}",
        "isa": runtime.isa(),
        "available_isas": list(runtime.available_isas()),
        "threads": fastconv.get_num_threads(),
        "cores_allowed": runtime.cpu_quota(),
        "build": runtime.build_info(),
        "fashion_mnist": str(fashion_mnist.source()),
    }
    if options.json:
        _common.print_json(facts)
        return 0
    build = facts.pop("build")
    facts |= {f"build {name}": value for name, value in build.items()}
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{name.replace('_', ' '):<20} {text}")
    return 0
