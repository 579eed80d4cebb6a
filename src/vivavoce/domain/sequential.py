"""Intervals that hold at every look, however often one looks and whenever one stops: confidence sequences.

For values within bounds they are exact: the mixture over a Beta(1/2, 1/2) of the likelihood ratios of a coin (Robbins 1970), which
stays a supermartingale for any values in [0, 1] of that mean, since the ratio is convex in the value. For two independent groups the
product of both is one, so that their means are taken together rather than each with half of the error: an ellipse, not a rectangle.
For values without bounds they are asymptotic, with the normal mixture of Waudby-Smith et al. (2021, arXiv 2103.06476): approximate
for few values.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

_PRIOR = 0.5
_TIGHTEST_AT = 500  # values at which an asymptotic interval is at its best
FEWEST = 30  # values without bounds of which anything is said
_HALVINGS = 36
_SECTIONS = 40
_GOLDEN = (math.sqrt(5) - 1) / 2
SMALLEST = 1e-9  # evidence that is told no further


class Sample(Struct, frozen=True, kw_only=True):
    """What has been seen of one group: how many values, their sum and the sum of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def with_value(self, value: float) -> Sample:
        return Sample(count=self.count + 1, total=self.total + value, squares=self.squares + value * value)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def variance(self) -> float:
        """Rounding may not make it less than nothing."""
        if self.count < 2:
            return 0.0
        return max(0.0, (self.squares - self.total * self.total / self.count) / (self.count - 1))


class Bounds(Struct, frozen=True, kw_only=True):
    low: float
    high: float


class Comparison(Struct, frozen=True, kw_only=True):
    """The variant's mean less the control's. `p_value` is the least error that one has to allow for to call them different."""

    difference: float
    low: float
    high: float
    p_value: float


def interval(sample: Sample, alpha: float, bounds: Bounds | None) -> tuple[float, float] | None:
    """Where the mean lies, but for an error of `alpha` over all looks together; None where nothing can be said."""
    if bounds is None:
        return _unbounded(sample, alpha)
    if sample.count == 0:
        return (bounds.low, bounds.high)
    width = bounds.high - bounds.low
    low, high = _bounded(*_scaled(sample, bounds), alpha)
    return (bounds.low + width * low, bounds.low + width * high)


def compare(control: Sample, variant: Sample, alpha: float, bounds: Bounds | None) -> Comparison | None:
    """None where nothing can be said."""
    if control.mean is None or variant.mean is None:
        return None
    if bounds is None:
        found = _unbounded_difference(control, variant, alpha)
    else:
        found = _bounded_difference(_scaled(control, bounds), _scaled(variant, bounds), alpha)
    if found is None:
        return None
    low, high, evidence = found
    width = 1.0 if bounds is None else bounds.high - bounds.low
    return Comparison(
        difference=variant.mean - control.mean,
        low=width * low,
        high=width * high,
        p_value=min(1.0, max(SMALLEST, math.exp(-evidence))),
    )


# Within bounds.


def _scaled(sample: Sample, bounds: Bounds) -> tuple[int, float]:
    """(count, sum) of values in [0, 1]."""
    total = (sample.total - sample.count * bounds.low) / (bounds.high - bounds.low)
    return sample.count, min(max(total, 0.0), float(sample.count))


def _against(count: int, total: float) -> Callable[[float], float]:
    """The evidence against a mean: the logarithm of the mixture's likelihood over that mean's. Convex in the mean."""
    mixture = _log_beta(_PRIOR + total, _PRIOR + count - total) - _log_beta(_PRIOR, _PRIOR)
    return lambda mean: mixture - _times_log(total, mean) - _times_log(count - total, 1 - mean)


def _bounded(count: int, total: float, alpha: float) -> tuple[float, float]:
    against, limit = _against(count, total), math.log(1 / alpha)

    def is_possible(mean: float) -> bool:
        return against(mean) < limit

    middle = total / count
    return _edge(middle, 0.0, is_possible), _edge(middle, 1.0, is_possible)


def _bounded_difference(
    control: tuple[int, float], variant: tuple[int, float], alpha: float
) -> tuple[float, float, float]:
    """(low, high, evidence against no difference). Independent groups multiply their evidence; what is left of a difference is
    the pair of means, that far apart, that has least against it."""
    one, other, limit = _against(*control), _against(*variant), math.log(1 / alpha)

    def against(difference: float) -> float:
        low, high = max(0.0, -difference), min(1.0, 1.0 - difference)
        return _least(lambda mean: one(mean) + other(min(1.0, max(0.0, mean + difference))), low, high)

    def is_possible(difference: float) -> bool:
        return against(difference) < limit

    middle = variant[1] / variant[0] - control[1] / control[0]
    return _edge(middle, -1.0, is_possible), _edge(middle, 1.0, is_possible), against(0.0)


def _least(of: Callable[[float], float], low: float, high: float) -> float:
    """Of a convex function, by golden sections; what it is at its edges may be without end."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = of(left), of(right)
    for _ in range(_SECTIONS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = of(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = of(right)
    return min(at_left, at_right, of(low), of(high))


def _edge(inside: float, outside: float, is_possible: Callable[[float], bool]) -> float:
    """The likelihood falls to both sides of the mean that was seen."""
    if is_possible(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_possible(middle) else (inside, middle)
    return outside


def _times_log(weight: float, value: float) -> float:
    if weight == 0:
        return 0.0
    return weight * math.log(value) if value > 0 else -math.inf


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


# Without bounds.


def _unbounded(sample: Sample, alpha: float) -> tuple[float, float] | None:
    if sample.count < FEWEST or sample.mean is None:
        return None
    half = _half(sample.variance / sample.count, sample.count, alpha)
    return (sample.mean - half, sample.mean + half)


def _unbounded_difference(control: Sample, variant: Sample, alpha: float) -> tuple[float, float, float] | None:
    if min(control.count, variant.count) < FEWEST or control.mean is None or variant.mean is None:
        return None
    count = control.count + variant.count
    variance = control.variance / control.count + variant.variance / variant.count
    difference = variant.mean - control.mean
    half = _half(variance, count, alpha)
    rate = _rate(alpha)
    grown = count * rate + 1
    if variance > 0:
        evidence = difference * difference * count * rate / (2 * grown * variance) - math.log(grown) / 2
    else:
        evidence = 0.0 if difference == 0 else -math.log(SMALLEST)
    return (difference - half, difference + half, evidence)


def _half(variance: float, count: int, alpha: float) -> float:
    """Half of the interval of an estimate that has this variance after `count` values."""
    rate = _rate(alpha)
    grown = count * rate + 1
    return math.sqrt(variance * 2 * grown / (count * rate) * math.log(math.sqrt(grown) / alpha))


def _rate(alpha: float) -> float:
    wanted = -2 * math.log(alpha)
    return (wanted + math.log(wanted + 1)) / _TIGHTEST_AT
