"""How defaults are stretched so that automation takes a tenth of a limit at most."""

import pytest

from crm_pipeline.connectors.upkeep import DayLimit, Pace, Upkeep, pace_of
from crm_pipeline.kernel.clock import Month
from crm_pipeline.settings import AuthSettings, Connection

# What the seven kinds of records of a Pipedrive company, and three lists of settings, cost.
TOKENS = [Upkeep(90, 284), Upkeep(0, 36)]


def paced(
    limit: int | None,
    *,
    explicit: tuple[str, ...] = (),
    members: int = 1,
    cadence: str = "*/15 * * * *",
    probe_every_s: int = 60,
) -> Pace:
    connection = Connection(
        name="acme",
        vendor="pipedrive",
        login_url="https://acme.pipedrive.com",
        auth=AuthSettings("token", {}),
        objects=(),
        start=Month(2018, 1),
        cadence=cadence,
        probe_every_s=probe_every_s,
        lookback_s=600,
        share=0.9,
        limit_group="acme",
        api_version=None,
        sandbox=False,
        mapping={},
        explicit=frozenset(explicit),
    )
    day = DayLimit(limit, is_stated=True) if limit else None
    return pace_of(connection, TOKENS, unit="tokens", round_cost=0, limit=day, members=members)


@pytest.mark.parametrize("limit", [None, 1_700_000])
def test_what_fits_is_as_configured(limit: int | None) -> None:
    """Without a limit of the day, or below a tenth of it, nothing is stretched."""
    pace = paced(limit)
    assert (pace.a_day, pace.is_stretched) == (1_440 * 90 + 96 * 320, False)
    assert (pace.probe_every_s, pace.refresh_every_s) == (60, 900)


@pytest.mark.parametrize(("limit", "members"), [(30_000, 1), (300_000, 1), (300_000, 3)])
def test_defaults_are_stretched_to_a_tenth(limit: int, members: int) -> None:
    """Both by one factor; connections that share the limit share the tenth."""
    pace = paced(limit, members=members)
    assert pace.a_day == pytest.approx(limit / 10 / members, abs=1)
    assert pace.refresh_every_s / pace.probe_every_s == pytest.approx(15)
    assert not pace.is_dear
    assert "the defaults (60 s, 15 min) would make it 160,320" in str(pace)


@pytest.mark.parametrize(
    ("explicit", "probe_s", "refresh_s", "is_dear"),
    [
        # 129,600 tokens of probes are the user's choice: refreshes keep half of the tenth.
        (("probe_every_s",), 60, 1_843, True),
        # 30,720 tokens of refreshes are all of the tenth, and probes keep half of it.
        (("cadence",), 518, 900, True),
        (("cadence", "probe_every_s"), 60, 900, True),
    ],
)
def test_what_the_user_wrote_stays(
    explicit: tuple[str, ...], probe_s: float, refresh_s: float, is_dear: bool
) -> None:
    """It is not stretched, and said to be dear where it alone takes more than a tenth."""
    pace = paced(300_000, explicit=explicit)
    assert round(pace.probe_every_s) == probe_s
    assert round(pace.refresh_every_s) == refresh_s
    assert pace.is_dear is is_dear


@pytest.mark.parametrize(
    ("explicit", "words"),
    [
        (
            ("cadence",),
            (
                "320, as `cadence` says",
                "tokens, stretched",
                "the default of 60 s for `probe_every_s`",
            ),
        ),
        (
            ("probe_every_s",),
            ("as `probe_every_s` says", "320, stretched", "the default of 15 min for `cadence`"),
        ),
    ],
)
def test_only_defaults_are_called_so(explicit: tuple[str, ...], words: tuple[str, ...]) -> None:
    """What is written in connections.yaml is no default, also where it happens to be the same."""
    text = str(paced(400_000, explicit=explicit))
    assert [one for one in words if one not in text] == []
    assert "the defaults" not in text


def test_more_than_a_tenth_that_is_fine_is_explained() -> None:
    """A cadence that takes less than a tenth is kept, and probes are left half of it: 12.7 % and no warning."""
    pace = paced(400_000, explicit=("cadence",))
    assert (pace.is_dear, pace.a_day > 40_000) == (False, True)
    assert "More than a tenth (40,000) in all: the written interval is kept" in str(pace)
    assert "More than a tenth" not in str(paced(400_000))


def test_nothing_is_stretched_beyond_a_day() -> None:
    """Once a day at least, however small the limit; a slower cadence stays what it is."""
    pace = paced(30)
    assert (pace.probe_every_s, pace.refresh_every_s) == (86_400, 86_400)
    assert paced(30, cadence="0 0 1 * *").refresh_every_s > 28 * 86_400


def test_a_limit_that_nobody_told_is_called_so() -> None:
    """Until the vendor has told its own, the lowest published one is reckoned with."""
    pace = paced(30_000)
    assert "of the 30,000 a day" in str(pace)
    published = Pace(**{**vars(pace), "limit": DayLimit(30_000, is_stated=False)})
    assert "of the lowest published limit, the 30,000 a day" in str(published)
