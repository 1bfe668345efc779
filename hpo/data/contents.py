"""Fingerprints of data by content."""

import hashlib

import numpy as np
import pandas as pd

from hpo.values import Array


def bytes_content(content: bytes) -> str:
    """Thirty-two hexadecimal digits that stand for the bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def array_content(*arrays: Array) -> str:
    """The same for arrays: their values, shapes and types."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        if array.dtype.hasobject:
            digest.update(repr(array.tolist()).encode())
        else:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def frame_content(frame: pd.DataFrame) -> str:
    """The same for a DataFrame, its index left out."""
    return array_content(*(frame[name].to_numpy() for name in frame.columns), np.array([str(c) for c in frame.columns]))


_ODD = np.uint64(0x9E3779B97F4A7C15)


def row_hashes(x: Array, chunk: int = 4096) -> Array:
    """One uint64 a row, equal for rows of equal numbers; rows that differ collide with a chance near 2**-64.

    x: (rows, ...) of any number type. Sum over the row of mixed value times a random odd number of its position, modulo
    2**64 (multilinear hashing); values are mixed first, because float32 of small whole numbers differ in few high bits.
    Sorting the rows themselves would take fifty times as long.
    """
    width = int(np.prod(x.shape[1:]))
    factors = np.random.default_rng(1).integers(0, 2**63, size=width, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(x), np.uint64)
    for start in range(0, len(x), chunk):
        part = x[start : start + chunk].reshape(-1, width).astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0
        mixed = part.view(np.uint32).astype(np.uint64) * _ODD
        mixed ^= mixed >> np.uint64(29)
        mixed *= factors
        hashes[start : start + chunk] = mixed.sum(axis=1, dtype=np.uint64)
    return hashes
