"""Keeps TensorFlow's greetings off the user's terminal.

Its C++ part writes some ten lines to the error stream before any log level is read, whatever the environment says: that
messages before logging begins go to the error stream, that oneDNN is on, that no CUDA driver was found. Its Python part
advises against the retracing that a search over structures is made of.
"""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_CHATTER = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl|E\d{4} .*(cuInit|cuda_platform)")
_asked = _LEVEL in os.environ


@contextmanager
def without_chatter() -> Iterator[None]:
    """Drop TensorFlow's greetings from the error stream inside; everything else comes out at the end.

    Does nothing for a user who has set `TF_CPP_MIN_LOG_LEVEL`: who asks to hear is heard.
    """
    if _asked:
        yield
        return
    os.environ.setdefault(_LEVEL, "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stream = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stream, 2)
            os.close(stream)
            kept.seek(0)
            for line in kept:
                if not _CHATTER.match(line):
                    os.write(2, line)
