"""Input scaling: x = (encoded - offset) * scale, learned from training rows alone by scikit-learn's scalers."""

from typing import Any

import numpy as np
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from hpo.values import Array, FloatArray

_CHUNK = 4096


def fit_scaling(x: Array, kind: str, is_number: Array) -> tuple[FloatArray, FloatArray]:
    """Offset and scale, float32, of shape (features,) or (channels,): they broadcast over one row's last axis.

    kind: `standard` (mean 0, deviation 1), `minmax` (0 to 1), `robust` (median 0, distance between the quartiles 1:
    outliers do not count) or `none`. One-hot features stay as they are: a rare
    category scaled to deviation 1 would lie many deviations out. Features that do not vary keep scale 1.
    Images: one offset and scale for all pixels of a channel.
    """
    width = x.shape[-1]
    offset, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    if kind == "none" or not is_number.any():
        return offset, scale
    if kind == "robust":
        for column in np.flatnonzero(is_number):
            fitted = RobustScaler().fit(x[..., column].reshape(-1, 1))
            offset[column], scale[column] = fitted.center_[0], 1.0 / fitted.scale_[0]
        return offset, scale
    scaler: Any = StandardScaler() if kind == "standard" else MinMaxScaler()
    for start in range(0, len(x), _CHUNK):  # in parts: a float64 copy of all images would be twice their size again
        part = x[start : start + _CHUNK].reshape(-1, width)[:, is_number].astype(np.float64)
        scaler.partial_fit(part)
    if kind == "standard":
        offset[is_number], scale[is_number] = scaler.mean_, 1.0 / scaler.scale_
    else:
        varies = scaler.data_range_ > 0
        offset[is_number] = scaler.data_min_
        scale[is_number] = np.where(varies, scaler.scale_, 1.0)
    return offset, scale


def apply_scaling(x: Array, offset: FloatArray, scale: FloatArray) -> FloatArray:
    """float32 (x - offset) * scale: the same arithmetic as the exported model's, so that both agree."""
    scaled = x.astype(np.float32)
    scaled -= offset
    scaled *= scale
    return scaled
