"""Ctrl-C, and SIGTERM, between two runs, not in the middle of one.

A `KeyboardInterrupt` is raised wherever the program happens to be. Inside a framework that is no good place: of twenty
that met TensorFlow at work, one was swallowed, so that the study ran on, one ended in a hang, one in a segmentation
fault. So the first signal is remembered, and raised at the next place that asks; the second is raised at once.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_seen = threading.Event()
_terminated = threading.Event()
WAITING = "Stopping when the runs in training have ended. Ctrl-C again stops at once."


class Terminated(KeyboardInterrupt):
    """SIGTERM: this process is to go, as when a cluster needs its place; what it worked on is not to stop."""


@contextmanager
def remembered(tell: Callable[[str], None], *, terminate: bool = True) -> Iterator[None]:
    """Remember Ctrl-C, and SIGTERM where `terminate`, within the block, and tell that they were heard.

    Only the main thread can; in another the block changes nothing.
    """
    usual = {signal.SIGINT: signal.default_int_handler, **({signal.SIGTERM: signal.SIG_DFL} if terminate else {})}
    # Each by itself: what a shell puts into the background (`hpo worker STUDY &`) is deaf to Ctrl-C, not to SIGTERM.
    numbers = [number for number, handler in usual.items() if signal.getsignal(number) == handler]
    if not numbers or threading.current_thread() is not threading.main_thread():
        yield
        return
    _seen.clear()
    _terminated.clear()

    def remember(signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGTERM:
            _terminated.set()
        if _seen.is_set():
            raise Terminated if _terminated.is_set() else KeyboardInterrupt
        _seen.set()
        with contextlib.suppress(RuntimeError):  # the program was in the middle of writing to the same stream
            tell(WAITING)

    before = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _seen.clear()
        _terminated.clear()


def seen() -> bool:
    """Whether a signal is remembered: nothing more should be begun."""
    return _seen.is_set()


def raise_if_seen() -> None:
    """Raise the KeyboardInterrupt that was remembered."""
    if _seen.is_set():
        _seen.clear()
        raise Terminated if _terminated.is_set() else KeyboardInterrupt
