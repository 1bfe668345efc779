"""Seeds by name: the same parts give the same seed on every machine and Python version."""

import hashlib
import json


def derive(*parts: str | int) -> int:
    """A seed in [0, 2**31) from any number of parts, e.g. `derive(study_seed, "tune", number)`.

    31 bits because scikit-learn, NumPy, Keras and Optuna all take that range.
    """
    text = json.dumps(parts, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
