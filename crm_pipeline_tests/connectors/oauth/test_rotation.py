"""Which refresh token is sent: the rule as a table and as a property, then over HTTP."""

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.oauth.rotation import TokenRotation, sources, token_fingerprint
from crm_pipeline.kernel.errors import AuthFailed, ConfigError
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.store.tokens import StoredToken, TokenStore
from crm_pipeline.store.tokens.state_key import StateKey
from crm_pipeline_tests.harness import Harness, HarnessMaker
from crm_sandbox.salesforce import credentials

OLD, NEW = Secret("old"), Secret("new")
STARTED = TokenRotation("app").continued(OLD, "environment")
LOGGED_IN = TokenRotation("app")


@pytest.mark.parametrize(
    ("rotation", "held", "expected"),
    [
        (None, None, ()),
        (None, OLD, ("environment",)),
        (STARTED, None, ("stored",)),
        (STARTED, OLD, ("stored",)),
        (STARTED, NEW, ("environment", "stored")),
        (STARTED.continued(NEW, "environment"), NEW, ("stored",)),
        (STARTED.continued(NEW, "environment"), OLD, ("stored",)),
        (STARTED.continued(NEW, "stored"), NEW, ("stored",)),
        (LOGGED_IN, OLD, ("environment", "stored")),
        (LOGGED_IN.continued(OLD, "stored"), OLD, ("stored",)),
    ],
)
def test_the_rule(
    rotation: TokenRotation | None, held: Secret | None, expected: tuple[str, ...]
) -> None:
    """An unseen environment token is tried first; a seen one is not sent; without one, the stored token is."""
    assert sources(rotation, held) == expected


@pytest.mark.parametrize("rotation", [STARTED, LOGGED_IN, STARTED.continued(NEW, "stored")])
def test_a_rotation_is_stored(rotation: TokenRotation) -> None:
    """The stored form gives the same rotation back and holds no token."""
    assert TokenRotation.from_extra(rotation.extra()) == rotation
    assert not {"old", "new"} & set(" ".join(rotation.extra().values()).split())
    assert TokenRotation.from_extra({"login": "x"}) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["refresh", "refresh", "authorize", "log in", "hold"]),
            st.integers(0, 3),
        ),
        max_size=30,
    ),
    st.booleans(),
)
@settings(max_examples=300)
def test_no_living_token_is_lost(steps: list[tuple[str, int]], rotates: bool) -> None:
    """However tokens are issued, held by the environment and refreshed: each rotation is shown an
    environment token at most once, and a login fails only if no token is alive."""
    issued, alive = [], set()
    rotation: TokenRotation | None = None
    stored = held = ""

    def issue() -> str:
        issued.append(f"t{len(issued)}")
        alive.add(issued[-1])
        return issued[-1]

    for step, number in steps:
        if step == "authorize":
            held = issue()
        elif step == "hold" and issued:
            held = issued[number % len(issued)]
        elif step == "log in":
            rotation = (rotation or TokenRotation("app")).continued(
                Secret(held) if held else None, "stored"
            )
            stored = issue()
        elif step == "refresh":
            from_environment = Secret(held) if held else None
            order = sources(rotation, from_environment)
            was_seen = bool(
                rotation
                and from_environment
                and token_fingerprint(from_environment) in rotation.seen
            )
            assert ("environment" in order) == bool(held and not was_seen)
            used = next(
                (s for s in order if (held if s == "environment" else stored) in alive), None
            )
            assert used is not None or stored not in alive
            if used is None:
                continue
            token = held if used == "environment" else stored
            rotation = (rotation or TokenRotation("app")).continued(from_environment, used)
            if rotates:
                alive.discard(token)
            stored = issue() if rotates else token
            assert sources(rotation, from_environment) == ("stored",)


def statuses(harness: Harness) -> list[int]:
    entries = harness.sandbox.journal.entries(path="/services/oauth2/token")
    return [entry.status for entry in entries]


def hold(harness: Harness, token: str) -> None:
    harness.settings.environ["DEMO_REFRESH_TOKEN"] = token


def read(harness: Harness) -> None:
    with harness.account(attempts=1) as account:
        account.objects()


@pytest.fixture
def rotating(make_harness: HarnessMaker):
    """A harness whose org rotates, after its first login."""
    with make_harness(contacts=20, kind="refresh_token") as harness:
        harness.org.rotate(on=True)
        read(harness)
        harness.sandbox.journal.clear()
        yield harness


def test_a_newer_token_starts_a_new_rotation(rotating: Harness) -> None:
    """A living token that the rotation has not seen is used at once, although a session still lives;
    after that neither it nor the first one is sent again."""
    (before,) = rotating.org.sessions.living_refresh_tokens()
    hold(rotating, rotating.org.sessions.begin_chain())
    read(rotating)
    assert before in rotating.org.sessions.living_refresh_tokens()
    for held in (credentials.REFRESH_TOKEN, rotating.settings.environ["DEMO_REFRESH_TOKEN"]):
        hold(rotating, held)
        rotating.org.expire_sessions()
        read(rotating)
    assert statuses(rotating) == [200, 200, 200]


def test_a_dead_token_does_not_end_a_living_rotation(rotating: Harness) -> None:
    """A newer token that is refused is tried once; the rotation goes on, and log and check report it."""
    hold(rotating, "mistyped")
    with structlog.testing.capture_logs() as lines:
        read(rotating)
    (line,) = lines
    assert line["variable"] == "DEMO_REFRESH_TOKEN"
    assert "crm-pipeline login demo" in line["cure"]
    rotating.org.expire_sessions()
    with rotating.account() as account:
        finding = next(f for f in account.check().findings if f.topic == "refresh token")
    assert (finding.level, "DEMO_REFRESH_TOKEN" in finding.cure) == ("warn", True)
    assert statuses(rotating) == [400, 200, 200]
    hold(rotating, "")
    with rotating.account() as account:
        assert all(f.level == "ok" for f in account.check().findings)


def test_only_a_refusal_of_the_token_falls_back(rotating: Harness) -> None:
    """A login server that is down, or a wrong secret, does not mean that the newer token is dead: the
    login is tried again, and the rotation stays."""
    hold(rotating, rotating.org.sessions.begin_chain())
    rotating.settings.environ["DEMO_CLIENT_SECRET"] = "wrong"
    with pytest.raises(AuthFailed, match="invalid_client") as caught:
        read(rotating)
    assert "DEMO_CLIENT_SECRET" in caught.value.cure
    rotating.settings.environ["DEMO_CLIENT_SECRET"] = credentials.CLIENT_SECRET
    read(rotating)
    assert statuses(rotating) == [400, 200]


def test_a_replaced_secret_keeps_the_rotation(rotating: Harness) -> None:
    """A new consumer secret is used with the stored refresh token: no person has to log in."""
    rotating.settings.environ["DEMO_CLIENT_SECRET"] = "wrong"
    with pytest.raises(AuthFailed, match="invalid_client"):
        read(rotating)
    rotating.settings.environ["DEMO_CLIENT_SECRET"] = credentials.CLIENT_SECRET
    rotating.org.expire_sessions()
    read(rotating)
    assert statuses(rotating) == [400, 200]


def test_another_app_does_not_get_the_token(rotating: Harness) -> None:
    """A connection that now names another app never sends it the first app's token."""
    (rotation,) = rotating.org.sessions.living_refresh_tokens()
    sent = []
    refresh = rotating.org.sessions.refresh
    rotating.org.sessions.refresh = lambda token: (sent.append(token), refresh(token))[1]
    rotating.settings.environ["DEMO_CLIENT_ID"] = "another"
    with pytest.raises(AuthFailed, match="invalid_client_id"):
        read(rotating)
    hold(rotating, "")
    with pytest.raises(ConfigError, match="for this app and address"):
        read(rotating)
    assert rotation not in sent


def test_the_variable_may_go(rotating: Harness) -> None:
    """Once a token is stored, the variable need be neither set nor named."""
    del rotating.settings.environ["DEMO_REFRESH_TOKEN"]  # type: ignore[attr-defined]
    rotating.org.expire_sessions()
    read(rotating)
    assert statuses(rotating) == [200]


@pytest.mark.parametrize("variable", ["DEMO_REFRESH_TOKEN", ""])
def test_without_any_token(make_harness: HarnessMaker, variable: str) -> None:
    """With nothing stored and nothing in the environment, the command to run is named."""
    with make_harness(contacts=20, kind="refresh_token") as harness:
        hold(harness, "")
        if not variable:
            harness.settings.connection("demo").auth.variables.pop("refresh_token")  # type: ignore[attr-defined]
        with pytest.raises(ConfigError, match="has not been logged in") as caught:
            read(harness)
        assert caught.value.cure == "Run `crm-pipeline login demo`."
        assert variable in caught.value.message
        assert harness.sandbox.journal.entries() == []


def test_a_token_stored_by_a_version_without_rotations(rotating: Harness) -> None:
    """An upgrade does not lock a rotating org out: the stored token is used, the first is never sent."""
    connection = rotating.settings.connection("demo")
    held = [rotating.settings.environ[v] for _, v in sorted(connection.auth.variables.items())]
    store = TokenStore(rotating.database, StateKey.of(rotating.settings))
    now = store.load("demo")
    assert now is not None
    login = fingerprint(["refresh_token", connection.login_url, *held])
    older = StoredToken(
        now.access_token, now.refresh_token, now.instance_url, now.issued_at, {"login": login}
    )
    store.save("demo", older)
    rotating.org.expire_sessions()
    read(rotating)
    assert statuses(rotating) == [200]


def test_a_revocation_stops_a_run(make_harness: HarnessMaker) -> None:
    """A token that is revoked during a run ends it with what to click and what to run."""
    with make_harness(kind="refresh_token") as harness:
        harness.extract("User")
        (rotation,) = harness.org.sessions.living_refresh_tokens()
        real = harness.org.sessions.use
        calls = []

        def use(token: str):
            calls.append(token)
            if len(calls) == 3:
                harness.org.sessions.revoke(rotation)
            return real(token)

        harness.org.sessions.use = use
        with pytest.raises(AuthFailed, match="expired access/refresh token") as caught:
            harness.extract("Contact")
        assert len(calls) == 3
        assert "Setup, Connected Apps OAuth Usage" in caught.value.cure
        assert "crm-pipeline login demo" in caught.value.cure
