import copy
import json
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.kernel.secret import HIDDEN, Secret, redacted

VALUE = "00D5g0!AQ.hush-hush_x"


@dataclass(frozen=True)
class Login:
    user: str
    password: Secret


SHOWN: dict[str, Callable[[Any], str]] = {
    "str": str,
    "repr": repr,
    "format": lambda s: f"{s} {s!r} {s!s} {s:>40} {s!a}",
    "percent": lambda s: "%s %r" % (s, s),  # noqa: UP031 - the old way must not show it either
    "list": lambda s: str([s]) + str({"k": s}) + str((s,)),
    "dataclass": lambda s: repr(Login("me", s)),
    "attributes": lambda s: str(dir(s)) + str(getattr(s, "__dict__", "")),
    "error": lambda s: "".join(traceback.format_exception(ValueError(s))),
}


@pytest.mark.parametrize("way", SHOWN)
def test_a_secret_shows_itself_nowhere(way: str) -> None:
    """No way of turning a secret into text shows it."""
    text = SHOWN[way](Secret(VALUE))
    assert VALUE not in text
    assert way == "attributes" or HIDDEN in text


@pytest.mark.parametrize(
    "write", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, lambda s: asdict(Login("me", s))]
)
def test_a_secret_is_not_written(write: object) -> None:
    """A secret cannot be pickled, copied or written as JSON by accident, and the refusal is silent."""
    with pytest.raises(TypeError) as caught:
        write(Secret(VALUE))  # type: ignore[operator]
    assert VALUE not in str(caught.value)


def test_a_secret_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """A log entry that holds a secret does not show it."""
    structlog.get_logger().warning("login", secret=Secret(VALUE), login=Login("me", Secret(VALUE)))
    shown = capsys.readouterr()
    assert "login" in shown.out + shown.err
    assert VALUE not in shown.out + shown.err


def test_a_secret_can_be_compared_and_asked() -> None:
    """Secrets compare by value with each other only; an empty one is false."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")
    assert Secret("a").reveal() == "a"


@pytest.mark.parametrize(
    "text",
    [
        f"https://x/cb?access_token={VALUE}&state=1",
        f"https://x/cb?state=1&refresh_token={VALUE}",
        f"id_token={VALUE}",
        f"auth_token={VALUE}",
        f"x-session-token={VALUE}",
        f"client_secret={VALUE}&grant_type=password",
        f"hapikey={VALUE} failed",
        f"api-key={VALUE}",
        f'{{"access_token": "{VALUE}", "id": 1}}',
        f'{{"access_token":"a\\"{VALUE}"}}',
        f'{{"client_secret" : "{VALUE}"}}',
        f"{{'refresh_token': '{VALUE}'}}",
        f'"apiKey": "{VALUE}"',
        f"Authorization: Bearer {VALUE}",
        f"authorization: basic {VALUE}==",
        f"bad header Authorization: Zoho-oauthtoken 1000.{VALUE}",
        f"x-api-token: {VALUE}",
        f"X-Api-Key:{VALUE}, Accept: */*",
        f"postgresql://crm:{VALUE}@localhost/crm",
        f"postgresql://crm:p@{VALUE}@localhost/crm",
        f"https://{VALUE}@proxy:3128",
        f"token eyJhbGciOi.{VALUE.replace('!', '')[:9]}{VALUE.replace('!', '').replace('.', '')}.sig",
    ],
)
def test_foreign_texts_are_cleaned(text: str) -> None:
    """Tokens and passwords in texts of vendors and libraries are replaced."""
    assert "hush-hush" not in redacted(text)
    assert HIDDEN in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "No such column 'Region__c' on entity 'Contact'.",
        "https://acme.my.salesforce.com/services/data/v62.0/query?q=SELECT Id FROM Contact",
        "mail ann@example.com about the basic plan",
        "errorCode: INVALID_FIELD",
        "refused the refresh token: unauthorized",
        "Write it as postgresql://user:password@host:5432/database.",
    ],
)
def test_harmless_texts_stay(text: str) -> None:
    """Text that helps to find the fault stays."""
    assert redacted(text) == text


@given(
    st.text(alphabet="abcXYZ019-._~", min_size=8, max_size=40),
    st.text(alphabet="ab =&\"':@/é?", max_size=20),
)
def test_redaction_holds_for_any_token(token: str, around: str) -> None:
    """A token after its name is removed in any context, and a second pass changes nothing."""
    marked = f"q{token}q"
    text = redacted(f"{around} access_token={marked}&x=1")
    assert marked not in text.replace(around, "")
    assert redacted(text) == text
