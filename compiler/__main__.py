"""The `diagrammar` command. Commands live in `diagrammar.cli`; here is only the way in and out.

Exit status: 0 when all is well, 1 when a file or a definition is wrong, 2 when the command line is.
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default the process's own) and return its exit status."""
    if arguments is not None:
        return _run(arguments)
    # A process this short has little garbage: looking for it while sympy is imported and again at
    # the end would take a third of `diagrammar check`.
    gc.set_threshold(1_000_000)
    # Laws have Π and ⌊ in them, whatever the locale; names of files may be bytes that are no UTF-8.
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)
    try:
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()


def _run(arguments: Sequence[str]) -> int:
    from diagrammar.cli.app import run

    return run(list(arguments))


if __name__ == "__main__":
    sys.exit(main())
