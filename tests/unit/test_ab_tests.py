"""A/B tests: who is drawn for which version, and what may be said at every look."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.domain.experiment import Experiment, drawn, point_of
from vivavoce.domain.sequential import FEWEST, Bounds, Sample, compare, interval

UNIT = Bounds(low=0, high=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
counts = st.integers(1, 3_000)


def running_test(number: int, share: float) -> Experiment:
    return Experiment(
        id=str(number), account_id="acme", agent_id="tiny", name=f"test {number}", environment="live", control="c",
        variant=f"v{number}", share=share, created_by="sam", created_at=NOON + timedelta(minutes=number),
    )  # fmt: skip


def seen(count: int, ones: int) -> Sample:
    return Sample(count=count, total=ones, squares=ones)


@settings(deadline=None)
@given(st.lists(st.floats(0, 25), max_size=4))
def test_each_of_several_tests_gets_its_share_and_no_conversation_is_in_two(shares: list[float]) -> None:
    running = [running_test(number, share) for number, share in enumerate(shares)]
    points = [n / 20 for n in range(2_000)]
    found = [drawn(running, point) for point in points]
    for each in running:
        assert abs(sum(hit is each for hit in found) / 20 - each.share) <= 0.1
    for edge, hit in zip(points, found, strict=True):
        assert (hit is not None) == (edge < sum(shares)) or abs(edge - sum(shares)) < 0.1


def test_a_conversation_falls_where_its_id_says_and_all_of_them_evenly() -> None:
    points = [point_of("acme", "tiny", "live", f"conversation-{n}") for n in range(20_000)]
    assert points[7] == point_of("acme", "tiny", "live", "conversation-7")
    for tenth in range(10):
        assert abs(sum(tenth * 10 <= point < tenth * 10 + 10 for point in points) - 2_000) < 200
    assert point_of("acme", "other", "live", "conversation-7") != points[7]


def test_more_traffic_for_one_test_takes_none_of_the_conversations_that_it_had() -> None:
    points = [n / 10 for n in range(1_000)]
    before = {point for point in points if drawn([running_test(0, 20)], point)}
    assert before < {point for point in points if drawn([running_test(0, 35)], point)}


@settings(deadline=None)
@given(counts, st.floats(0, 1), counts, st.floats(0, 1), st.sampled_from([0.2, 0.05, 0.01]))
def test_an_interval_holds_what_was_seen_and_the_p_value_agrees_with_it(
    n: int, p: float, m: int, q: float, alpha: float
) -> None:
    control, variant = seen(n, round(n * p)), seen(m, round(m * q))
    for sample in (control, variant):
        assert sample.mean is not None
        low, high = interval(sample, alpha, UNIT) or (1.0, 0.0)
        assert 0 <= low <= sample.mean <= high <= 1
    found = compare(control, variant, alpha, UNIT)
    assert (
        found is not None and -1 <= found.low <= found.difference + 1e-9 and found.difference - 1e-9 <= found.high <= 1
    )
    if abs(found.p_value - alpha) > 1e-3:
        assert (found.p_value < alpha) == (not found.low <= 0 <= found.high)


@settings(deadline=None)
@given(counts, st.floats(0, 1), st.floats(0, 1))
def test_control_and_variant_exchanged_say_the_opposite(n: int, p: float, q: float) -> None:
    one, other = seen(n, round(n * p)), seen(n, round(n * q))
    there, back = compare(one, other, 0.05, UNIT), compare(other, one, 0.05, UNIT)
    assert there is not None and back is not None
    assert math.isclose(there.low, -back.high, abs_tol=1e-6) and math.isclose(there.p_value, back.p_value, rel_tol=1e-3)


def test_a_score_is_compared_as_well_as_what_it_is_scaled_from() -> None:
    scores = [
        compare(Sample(count=200, total=200 * 3.0), Sample(count=200, total=200 * 4.4), 0.05, Bounds(low=1, high=5))
    ]
    scaled = compare(seen(200, 100), seen(200, 170), 0.05, UNIT)
    assert scaled is not None and scores[0] is not None
    assert math.isclose(scores[0].low, 4 * scaled.low, rel_tol=1e-6) and scores[0].p_value == scaled.p_value


def test_a_clear_difference_is_seen_and_a_few_conversations_say_nothing() -> None:
    few, many = compare(seen(5, 0), seen(5, 4), 0.05, UNIT), compare(seen(400, 240), seen(400, 320), 0.05, UNIT)
    assert few is not None and few.low < 0 < few.high
    assert many is not None and many.low > 0 and many.p_value < 0.01
    assert compare(Sample(), seen(5, 1), 0.05, UNIT) is None
    assert compare(Sample(count=FEWEST - 1), Sample(count=500), 0.05, None) is None


@pytest.mark.parametrize("bounds", [UNIT, None])
def test_looking_at_every_step_calls_a_difference_where_none_is_no_oftener_than_was_said(bounds: Bounds | None) -> None:
    """The usual test, looked at as often, does. (`bench/ab_tests.py` counts on; here the chance is the same in every run.)"""
    rng, alpha, tests = random.Random(7), 0.1, 60
    ours = usual = 0
    for _ in range(tests):
        control, variant = Sample(), Sample()
        is_ours = is_usual = False
        for step in range(1, 1_001):
            control, variant = (
                control.with_value(float(rng.random() < 0.6)),
                variant.with_value(float(rng.random() < 0.6)),
            )
            if step % 40 == 0:
                found = compare(control, variant, alpha, bounds)
                is_ours |= found is not None and found.p_value <= alpha
                assert control.mean is not None and variant.mean is not None
                error = math.sqrt((control.variance + variant.variance) / step)
                is_usual |= 2 * NormalDist().cdf(-abs(variant.mean - control.mean) / error) <= alpha
        ours += is_ours
        usual += is_usual
    assert ours / tests <= alpha < 2 * alpha < usual / tests
