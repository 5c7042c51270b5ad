"""How unsure a model is of a row: which rows are worth a person's time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppmm.errors import ConfigError, DataError

__all__ = ["MEASURES", "uncertainty"]

MEASURES = ("entropy", "margin", "least")


def uncertainty(probabilities: Sequence[float], measure: str = "entropy") -> float:
    """0 (sure) to 1 (knows nothing).

    ``entropy``: Shannon entropy by its largest value, log of the classes; ``margin``: 1 minus the lead of the best
    over the second; ``least``: what is missing to certainty, by its largest value (Settles 2009, section 3.1).

    Args:
        probabilities: of the classes; they are scaled to sum to 1.
        measure: one of `MEASURES`.

    Raises:
        ConfigError: another measure.
        DataError: none that is above 0, or one that is negative or no number.
    """
    total = math.fsum(probabilities)
    if not 0.0 < total < math.inf or min(probabilities) < 0.0:
        raise DataError(f"probabilities must be at least 0, one of them above: {list(probabilities)[:8]}")
    shares = sorted((value / total for value in probabilities), reverse=True)
    if measure not in MEASURES:
        raise ConfigError(f"no measure '{measure}'; there are {', '.join(MEASURES)}")
    if len(shares) < 2:
        return 0.0
    if measure == "margin":
        return 1.0 - (shares[0] - shares[1])
    if measure == "least":
        return (1.0 - shares[0]) * len(shares) / (len(shares) - 1)
    return -math.fsum(share * math.log(share) for share in shares if share > 0) / math.log(len(shares))
