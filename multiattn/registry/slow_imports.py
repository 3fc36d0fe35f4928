"""Say what is being loaded when it takes long or is interrupted. Standard library only."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 2.0


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Load ``what`` in this context.

    On a terminal, standard error gets a line if that takes more than two seconds. An interrupt,
    whether from the keyboard or raised by what is loaded, gets a note that names it.
    """
    timer = threading.Timer(PATIENCE_SECONDS, sys.stderr.write, [f"loading {what} …\n"])
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"while loading {what}")
        raise
    finally:
        timer.cancel()
