"""The command ``fastconv``: one subcommand a file, each with ``add_parser`` and ``run``.

``run`` returns the exit code or raises. A ValueError, OSError or ImportError becomes one line on
the standard error and exit code 1; wrong usage exits with 2, an interruption with 130. Data goes
to the standard output, everything meant for eyes only to the standard error when ``--json`` is on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import fastconv
from fastconv.cli import bench, datasets, evaluate, info, predict, train

ERROR = 1
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if left out.

    Returns
    -------
    int
        The exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

    Examples
    --------
    >>> main(["datasets", "list", "--limit"])
    Traceback (most recent call last):
        ...
    SystemExit: 2
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == [bench.NAME]:
            return bench.run(arguments[1:])
        options = _parser().parse_args(arguments)
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("fastconv: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has left; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except (ValueError, OSError, ImportError) as error:
        print("fastconv: error:", " ".join(str(error).split()), file=sys.stderr)
        return ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastconv",
        description="Train and run convolutional networks on this computer's processor.",
    )
    parser.add_argument("--version", action="version", version=f"fastconv {fastconv.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, evaluate, predict, datasets, bench, info):
        command.add_parser(commands)
    return parser
