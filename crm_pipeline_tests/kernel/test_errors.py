import builtins
import inspect
import pickle

import pytest

from crm_pipeline.kernel import errors
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    ConfigError,
    ConnectionLost,
    ContractError,
    CrmError,
    Fatal,
    NotPermitted,
    ReadLost,
    Rejected,
    Retriable,
    SecretMissing,
    SessionExpired,
    Skippable,
    Throttled,
    Unavailable,
    UnknownField,
    UnknownName,
    VendorError,
)

EXAMPLES: list[CrmError] = [
    ConfigError("connections.yaml:3: no.", cure="Write yes."),
    SecretMissing("ACME_SECRET", owner="acme"),
    UnknownName("object", "Contcat", ["Contact", "Account"], where="connection 'acme'"),
    BudgetExhausted("spent.", wait_s=12.5, cure="Wait."),
    ContractError("broken.", failures=[("unique", 2, ["a", "b"])]),
    ConnectionLost("lost.", cure="Look.", retry_after_s=3.0),
    Throttled("slow.", status=429, code="LIMIT", retry_after_s=20),
    AuthFailed("refused.", status=401, code="invalid_grant", cure="Log in."),
    UnknownField("gone.", status=400, code="INVALID_FIELD"),
]


def test_every_error_is_in_the_drawn_tree() -> None:
    """The tree in the module's docstring names every error class."""
    found = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, CrmError)
    }
    assert {name for name in found if name not in (errors.__doc__ or "")} == set()


def test_every_error_in_the_tree_exists() -> None:
    """Every error in the tree exists and stands under its parent."""
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        stem, mark, rest = line.partition("── ")
        if not mark:
            parents = parents or (["CrmError"] if line.strip() == "CrmError" else [])
            continue
        depth = len(stem) // 4  # four columns for each floor of the tree
        name = rest.split()[0]
        parents = [*parents[:depth], name]
        assert issubclass(getattr(errors, name), getattr(errors, parents[depth - 1]))
        if "(" in rest.split("  ")[0]:
            builtin = rest.split("(")[1].split(")")[0]
            assert issubclass(getattr(errors, name), getattr(builtins, builtin))
    assert len(parents) > 1


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_a_worker_process(error: CrmError) -> None:
    """An error that crosses a process boundary arrives with its class, text and attributes."""
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.__dict__ == error.__dict__


def test_the_text_ends_with_the_cure() -> None:
    """The text is the message followed by the cure."""
    assert str(ConfigError("It is wrong.", cure="Do it right.")) == "It is wrong. Do it right."
    assert str(ConfigError("It is wrong.")) == "It is wrong."


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("it said: no", "it said: no. Ask again."),
        ("it said no.", "it said no. Ask again."),
        ("it said 'no'!", "it said 'no'! Ask again."),
    ],
)
def test_message_and_cure_are_two_sentences(message: str, text: str) -> None:
    assert str(CrmError(message, cure="Ask again.")) == text


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (ContractError, ValueError),
        (Rejected, ValueError),
        (ConnectionLost, ConnectionError),
        (AuthFailed, PermissionError),
        (NotPermitted, PermissionError),
    ],
)
def test_errors_are_the_fitting_builtin_as_well(
    error: type[CrmError], builtin: type[Exception]
) -> None:
    """Callers that do not know our classes can catch the built-in error."""
    with pytest.raises(builtin, match=r"no\."):
        raise error("no.")


def test_the_vendor_families_do_not_overlap() -> None:
    """The class alone says whether to retry, stop or skip."""
    families = (Retriable, SessionExpired, ReadLost, Fatal, Skippable)
    leaves = [
        v for _, v in inspect.getmembers(errors, inspect.isclass) if issubclass(v, VendorError)
    ]
    for leaf in leaves:
        if leaf is not VendorError:
            assert sum(issubclass(leaf, family) for family in families) == 1, leaf
    assert issubclass(Unavailable, Retriable)


def test_a_missing_secret_names_the_variable_and_its_owner() -> None:
    """The text of a missing secret says which variable to set for which connection."""
    text = str(SecretMissing("ACME_SECRET", owner="connection acme"))
    assert "ACME_SECRET" in text
    assert "connection acme" in text
    assert ".env" in text


def test_an_unknown_name_lists_the_known_ones_and_guesses() -> None:
    """A typo is answered with the known names and the likely one."""
    text = str(UnknownName("object", "Contcat", ["Contact", "Account"], where="connection 'acme'"))
    assert text == (
        "unknown object 'Contcat' in connection 'acme'; known: Account, Contact. "
        "Did you mean 'Contact'?"
    )


def test_an_unknown_name_among_many_stays_short() -> None:
    """Of a thousand known names thirty are listed and the rest is counted."""
    text = str(UnknownName("object", "zzz", [f"Object{i:04}" for i in range(1_000)]))
    assert "and 970 more" in text
    assert len(text) < 600
    assert "Did you mean" not in text


def test_an_unknown_name_where_nothing_is_known() -> None:
    """An empty list of known names reads as a sentence."""
    assert "known: none." in str(UnknownName("table", "contacts", []))
