"""Shares of people and how sure they are, 95 %. Pure.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA
22, 1927, of one share; R. G. Newcombe, "Interval estimation for the difference between independent
proportions", Statistics in Medicine 17, 1998, method 10, of a difference; G. Y. Zou, A. Donner,
"Construction of confidence limits about effect measures: a general approach", Statistics in
Medicine 27, 2008, of a mean of several.
"""

from collections.abc import Sequence
from math import sqrt

_Z = 1.959964
"""Of a confidence of 95 %, two-sided."""
Range = tuple[float, float, float]
"""What was found, and from where to where it is with 95 %."""


def share(of: int, people: int) -> Range:
    """The share that `of` of `people` are, 0 to 1; right for few people and shares near 0 too."""
    if not people:
        return 0.0, 0.0, 1.0
    p = of / people
    middle = p + _Z * _Z / (2 * people)
    spread = _Z * sqrt(p * (1 - p) / people + _Z * _Z / (4 * people * people))
    scale = 1 + _Z * _Z / people
    return p, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def difference(one: Range, other: Range) -> Range:
    """By how much a share is above another."""
    found = one[0] - other[0]
    least = found - sqrt((one[0] - one[1]) ** 2 + (other[2] - other[0]) ** 2)
    most = found + sqrt((one[2] - one[0]) ** 2 + (other[0] - other[1]) ** 2)
    return found, least, most


def mean(found: Sequence[tuple[Range, float]]) -> Range:
    """The mean of several that were found apart, each with its weight above 0."""
    total = sum(weight for _, weight in found)
    weighed = [(one, weight / total) for one, weight in found]
    middle = sum(one[0] * weight for one, weight in weighed)
    below = sqrt(sum((weight * (one[0] - one[1])) ** 2 for one, weight in weighed))
    above = sqrt(sum((weight * (one[2] - one[0])) ** 2 for one, weight in weighed))
    return middle, middle - below, middle + above
