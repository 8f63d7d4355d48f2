"""Our share of the ceilings that vendors publish."""

import pytest

from crm_pipeline.ratelimit.limits import rolling


@pytest.mark.parametrize(
    ("published", "period_s", "share", "calls", "window_s"),
    [
        (190, 10.0, 0.9, 171, 10.0),
        (110, 10.0, 0.9, 99, 10.0),
        (20, 2.0, 0.9, 18, 2.0),
        (5, 1.0, 1.0, 5, 1.0),
        (5, 1.0, 0.9, 5, 1.0 / 0.9),
        (5, 1.0, 0.5, 3, 1.2),
        (1, 1.0, 0.9, 1, 1.0 / 0.9),
        (1, 10.0, 0.1, 1, 100.0),
    ],
)
def test_a_share_is_taken_in_calls_or_in_time(
    published: int, period_s: float, share: float, calls: int, window_s: float
) -> None:
    """On average it is the share, and within the vendor's own window never more than the published limit."""
    limit = rolling("burst", published, period_s, share)
    assert (limit.calls, limit.period_s) == (calls, pytest.approx(window_s))
    assert limit.calls <= published
    assert limit.period_s >= period_s
    assert 0.95 < limit.calls / limit.period_s / (published * share / period_s) <= 1 + 1e-9
