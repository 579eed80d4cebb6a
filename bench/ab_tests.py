"""How often an A/B test is called decided when nothing differs, and how long it takes when something does.

Two versions that are the same are compared after every 50 conversations of each, up to 5,000: how many of the tests are called decided
at one of the looks, by our confidence sequences and by the usual z-test looked at as often. Then one is better: how many conversations
until that is seen, beside the z-test that is looked at once, at the number that it needs for a power of 80 percent. Peer and floor are
this z-test; the aim for false alarms is 5 percent.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable
from statistics import NormalDist, median

from vivavoce.domain.sequential import Bounds, Sample, compare

EVERY, UP_TO, ALPHA = 50, 5_000, 0.05
Draw = Callable[[random.Random], float]
KINDS: dict[str, tuple[Draw, Bounds | None]] = {
    "containment, 70 %": (lambda rng: float(rng.random() < 0.7), Bounds(low=0, high=1)),
    "containment, 98 %": (lambda rng: float(rng.random() < 0.98), Bounds(low=0, high=1)),
    "score, 1 to 5": (lambda rng: float(rng.choice((1, 3, 4, 4, 5, 5))), Bounds(low=1, high=5)),
    "a metric, exponential": (lambda rng: rng.expovariate(1 / 40), None),
}


def z_test(control: Sample, variant: Sample) -> float:
    if control.mean is None or variant.mean is None:
        return 1.0
    error = math.sqrt(control.variance / control.count + variant.variance / variant.count)
    return 2 * NormalDist().cdf(-abs(variant.mean - control.mean) / error) if error else 1.0


def looks(rng: random.Random, control: Draw, variant: Draw, up_to: int) -> list[tuple[Sample, Sample]]:
    one, other, found = Sample(), Sample(), []
    for index in range(1, up_to + 1):
        one, other = one.with_value(control(rng)), other.with_value(variant(rng))
        if index % EVERY == 0:
            found.append((one, other))
    return found


def is_decided(control: Sample, variant: Sample, bounds: Bounds | None) -> bool:
    found = compare(control, variant, ALPHA, bounds)
    return found is not None and found.p_value <= ALPHA


def false_alarms(tests: int) -> None:
    print(f"{tests} tests without a difference, {UP_TO // EVERY} looks at each: called decided at one of them")
    for name, (draw, bounds) in KINDS.items():
        rng, ours, usual = random.Random(name), 0, 0
        for _ in range(tests):
            seen = looks(rng, draw, draw, UP_TO)
            ours += any(is_decided(*each, bounds) for each in seen)
            usual += any(z_test(*each) < ALPHA for each in seen)
        print(f"  {name:24} ours {ours / tests:6.1%}   z-test, looked at as often {usual / tests:6.1%}   (aim: 5 %)")


def needed(tests: int) -> None:
    print(f"{tests} tests with a difference of containment: conversations of each side until it is decided")
    bounds = Bounds(low=0, high=1)
    for worse, better in ((0.70, 0.80), (0.70, 0.75), (0.90, 0.95)):
        variance = worse * (1 - worse) + better * (1 - better)
        z = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(0.8)
        once = math.ceil(z * z * variance / (better - worse) ** 2)
        rng, found = random.Random(f"{worse} {better}"), []
        for _ in range(tests):
            seen = looks(
                rng, lambda r, p=worse: float(r.random() < p), lambda r, p=better: float(r.random() < p), 4 * UP_TO
            )
            found.append(next((each[0].count for each in seen if is_decided(*each, bounds)), math.inf))
        most = sorted(found)[math.ceil(tests * 0.8) - 1]
        print(
            f"  {worse:.0%} to {better:.0%}: median {median(found):g}, 80 % of the tests by {most:g};"
            f" z-test, once, for a power of 80 %: {once}; ratio {most / once:.1f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=400)
    arguments = parser.parse_args()
    false_alarms(arguments.tests)
    needed(max(20, arguments.tests // 4))
