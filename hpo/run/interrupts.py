"""Ctrl-C between two runs, not in the middle of one.

A `KeyboardInterrupt` is raised wherever the program happens to be. Inside a framework that is no good place: of twenty
that met TensorFlow at work, one was swallowed, so that the study ran on, one ended in a hang, one in a segmentation
fault. So the first Ctrl-C is remembered, and raised at the next place that asks; the second is raised at once.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_seen = threading.Event()
WAITING = "Stopping when the runs in training have ended. Ctrl-C again stops at once."


@contextmanager
def remembered(tell: Callable[[str], None]) -> Iterator[None]:
    """Remember Ctrl-C within the block, and tell that it was heard.

    Only the main thread can; in another the block changes nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    _seen.clear()

    def remember(signum: int, frame: FrameType | None) -> None:
        if _seen.is_set():
            raise KeyboardInterrupt
        _seen.set()
        with contextlib.suppress(RuntimeError):  # the program was in the middle of writing to the same stream
            tell(WAITING)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _seen.clear()


def seen() -> bool:
    """Whether a KeyboardInterrupt is remembered: nothing more should be begun."""
    return _seen.is_set()


def raise_if_seen() -> None:
    """Raise the KeyboardInterrupt that was remembered."""
    if _seen.is_set():
        _seen.clear()
        raise KeyboardInterrupt
