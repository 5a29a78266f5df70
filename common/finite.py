"""What counts as finite: what float32 can hold, as replays, files and networks do."""

from typing import Any

import numpy as np

LARGEST_FLOAT32 = np.finfo(np.float32).max


def is_finite(*values: Any) -> bool:
    """Whether all numbers of all values, arrays or scalars, are finite, and stay so as float32.

    Networks do not tell: oneDNN's fused ReLU makes 0 of NaN.
    """
    arrays = (np.asarray(value) for value in values)
    return all(x.dtype.kind in "biu" or bool((np.abs(x) <= LARGEST_FLOAT32).all()) for x in arrays)
