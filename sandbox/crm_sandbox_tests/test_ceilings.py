from crm_sandbox.ceilings import AtOnce, Daily, Rolling


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rolling_ceiling_counts_within_any_span() -> None:
    """What is refused does not count, and what is older than the span is forgotten."""
    time = Time()
    ceiling = Rolling(5, 10.0, time)
    assert [ceiling.take() for _ in range(3)] == [True] * 3
    time.now += 6
    assert (ceiling.take(3), ceiling.take(2), ceiling.take()) == (False, True, False)
    assert (ceiling.used, ceiling.remaining, ceiling.reset_s) == (5, 0, 4.0)
    time.now += 4
    assert (ceiling.used, ceiling.remaining) == (2, 3)
    time.now += 6
    assert (ceiling.used, ceiling.reset_s) == (0, 0.0)


def test_a_daily_amount_begins_anew() -> None:
    """Another day, another amount; other apps may overdraw it."""
    today = ["Monday"]
    daily = Daily(10, lambda: today[0])
    assert (daily.take(8), daily.take(3), daily.take(2), daily.remaining) == (True, False, True, 0)
    daily.spend(5)
    assert (daily.used, daily.remaining) == (15, 0)
    today[0] = "Tuesday"
    assert (daily.remaining, daily.take(10)) == (10, True)


def test_calls_at_once() -> None:
    """A place is free again when its call has ended, also one that failed."""
    at_once = AtOnce(2)
    with at_once.held() as first, at_once.held() as second, at_once.held() as third:
        assert (first, second, third, at_once.under_way) == (True, True, False, 2)
    try:
        with at_once.held():
            raise RuntimeError
    except RuntimeError:
        pass
    assert at_once.under_way == 0
