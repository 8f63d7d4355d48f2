"""Whoever opted out is not contactable, however the address was spelled where the person did so."""

from pathlib import Path

import pytest

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.settings.verification import Verification
from crm_pipeline.stages.normalized import fold
from crm_pipeline.stages.verified import Choices, verify
from crm_pipeline.stages.verified.library import library_verifiers
from crm_pipeline_tests.stages.conftest import Org, schema

QUESTION = Path(__file__).parents[3] / "docs/analysts/21_who_may_be_written_to.sql"
CONTACT = schema("Contact", "LastName", "Email:email", "HasOptedOutOfEmail:boolean")
PAIRS = {
    "case": ("jane@x.org", " JANE@X.ORG"),
    "shown": ("bob@x.org", "Bob <bob@x.org>"),
    "unicode": ("d@bücher.org", "d@XN--bcher-kva.org"),
    "punycode": ("n@xn--bcher-kva.org", "N@BÜCHER.org"),
    "list": ("e@x.org", "e2@x.org; e@x.org"),
    "blank": ("k@x.org", "k2@x.org k@x.org"),
    "composed": ("r\u00e9@x.org", "re\u0301@x.org"),
    "wide": ("f@x.org", "f\uff20x.org"),
    "link": ("g@x.org", "mailto:g@x.org?subject=no"),
    "invisible": ("h@x.org", "\u202ah@x.org\u200b"),
    "spaced": ("s@x.org", "s @ x.org"),
    "quoted": ("q@x.org", "'q@x.org'"),
    "apostrophe": ("o'neil@x.org", "O'Neil <O'Neil@x.org>"),
    "escaped": ("o'hara@x.org", "O&#039;Hara@x.org"),
}
"""The address of a live contact, and that of another one who opted out."""
LIGATURE = ("z@fish.org", "z@\ufb01sh.org")
"""Only the verdict knows that these are the same."""
OTHERS = {
    "apostrophe": "neil@x.org",
    "escaped": "hara@x.org",
    "longer": "mary-jane@x.org",
    "part": "jane@x.org.uk",
}


def published(org: Org) -> None:
    """Judge the addresses, and publish."""
    clock = FrozenClock("2026-11-23T10:00Z")
    with org.engine() as engine:
        verify(
            org.tables,
            engine,
            library_verifiers(Verification(), clock),
            Choices({}, Verification.expires, Verification.shared_from),
            wanted=org.tables.names("normalized/"),
            now=clock.now(),
        )
    org.publish()


@pytest.mark.parametrize("is_deleted", [False, True])
def test_an_opt_out_counts_however_the_address_is_spelled(org: Org, is_deleted: bool) -> None:
    """Also with a contact who was deleted, whose address has no verdict; addresses of others stay."""
    pairs = PAIRS if is_deleted else {**PAIRS, "ligature": LIGATURE}
    rows = [{"Id": name, "Email": one} for name, (one, _) in pairs.items()]
    rows += [{"Id": f"{name} other", "Email": one} for name, one in OTHERS.items()]
    rows += [
        {
            "Id": f"{name} out",
            "Email": other,
            "HasOptedOutOfEmail": "true",
            "IsDeleted": str(is_deleted).lower(),
        }
        for name, (_, other) in pairs.items()
    ]
    org.land(CONTACT, [{"LastName": row["Id"], **row} for row in rows])
    org.normalize("contacts")
    published(org)
    found = org.query("SELECT email FROM crm.contactable ORDER BY email")
    assert [email for (email,) in found] == sorted(OTHERS.values())


@pytest.mark.parametrize("is_landed", [True, False])
def test_an_opt_out_outlives_what_the_crm_says_of_a_deleted_record(
    org: Org, monkeypatch: pytest.MonkeyPatch, *, is_landed: bool
) -> None:
    """Lists of deletions have ids alone: what a contact said last counts, in the view and in the documented question. So
    it is where the version with the values has gone from landing, and the history alone has it."""
    if not is_landed:
        monkeypatch.setattr(fold, "last_values", lambda *_: None)
    said = {
        "out": ("jane@x.org", "true"),
        "in": ("bob@x.org", "false"),
        "back": ("kim@x.org", "true"),
    }
    rows = [
        {"Id": name, "LastName": name, "Email": email, "HasOptedOutOfEmail": is_out}
        for name, (email, is_out) in said.items()
    ]
    rows += [
        {"Id": f"{name} live", "LastName": name, "Email": email, "HasOptedOutOfEmail": "false"}
        for name, (email, _) in said.items()
    ]
    org.land(CONTACT, rows)
    org.normalize("contacts")
    org.clock.advance(60)
    org.land(CONTACT, [{**rows[2], "HasOptedOutOfEmail": "false"}])
    org.normalize("contacts")
    org.clock.advance(60)
    org.land(CONTACT, [{"Id": name, "IsDeleted": "true"} for name in said])
    org.normalize("contacts")
    published(org)
    last = {email if is_landed else None for email, _ in said.values()}
    assert {email for (email,) in org.query("SELECT email FROM crm.contacts_deleted")} == last
    for sql in ("SELECT email FROM crm.contactable ORDER BY email", QUESTION.read_text("utf-8")):
        assert [email for email, *_ in org.query(sql)] == ["bob@x.org", "kim@x.org"]
