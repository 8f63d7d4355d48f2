from datetime import UTC, datetime

from crm_sandbox.clock import SandboxClock
from crm_sandbox.grants import GrantStore


def grant_store(**options: object) -> tuple[GrantStore, SandboxClock]:
    clock = SandboxClock(datetime(2026, 11, 1, tzinfo=UTC))
    return GrantStore(clock, lifetime_s=1800, **options), clock  # type: ignore[arg-type]


def test_access_tokens_end_by_the_clock() -> None:
    """A token is known, then known to be over; one that never was is neither."""
    grants, clock = grant_store()
    access = grants.issue("main", {"read"})
    grants.lasting("private", "main")
    clock.advance(1799)
    assert grants.find(access.token) == access
    clock.advance(1)
    assert grants.find(access.token) is None
    assert (grants.is_expired(access.token), grants.is_expired("guess")) == (True, False)
    assert grants.expire() == 0
    assert grants.find("private") is not None


def test_a_rotating_refresh_token_buys_its_successor_once() -> None:
    """The old refresh token is refused after its use, its successor works."""
    grants, _ = grant_store(rotates=True)
    first = grants.begin_chain("second", {"read"})
    traded = grants.refresh(first)
    assert traded is not None
    access, following = traded
    assert (access.account, access.scopes, following != first) == ("second", {"read"}, True)
    assert grants.refresh(first) is None
    assert grants.refresh(following) is not None


def test_too_many_tokens_end_the_oldest() -> None:
    """One access token too many of a refresh token ends the oldest of it, and of no other."""
    grants, _ = grant_store(most_access=2, most_refresh=2)
    chain, other = grants.begin_chain("main"), grants.begin_chain("second")
    aside = grants.refresh(other)
    made = [grants.refresh(chain) for _ in range(3)]
    assert aside is not None
    assert all(made)
    living = [grants.find(one[0].token) is not None for one in (*made, aside) if one]
    assert living == [False, True, True, True]
    newer = [grants.begin_chain("main") for _ in range(2)]
    assert grants.chains("main") == newer
    assert grants.chains("second") == [other]


def test_a_code_is_good_once_and_for_its_address() -> None:
    """Used, late and misdirected codes buy nothing."""
    grants, clock = grant_store()
    codes = [grants.code("main", {"read"}, "https://a.example/back", 60) for _ in range(3)]
    assert grants.redeem(codes[0], "https://a.example/back") == ("main", {"read"})
    assert grants.redeem(codes[0], "https://a.example/back") is None
    assert grants.redeem(codes[1], "https://b.example/back") is None
    clock.advance(60)
    assert grants.redeem(codes[2], "https://a.example/back") is None


def test_revoking_a_refresh_token_ends_its_access() -> None:
    """Nothing that it bought works afterwards."""
    grants, _ = grant_store()
    chain = grants.begin_chain("main")
    traded = grants.refresh(chain)
    assert traded is not None
    assert (grants.revoke(chain), grants.find(traded[0].token)) == (True, None)
    assert (grants.refresh(chain), grants.revoke("guess")) == (None, False)
