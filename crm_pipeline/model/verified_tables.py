"""Tables of the stage `verified`: verdicts on e-mail addresses and phone numbers, and where records have them."""

from dataclasses import dataclass

from crm_pipeline.model.table import INSTANT, TEXTS, Column, text, texts

EMAIL = "email"
PHONE = "phone"


@dataclass(frozen=True)
class StageTable:
    """A table of a stage across connections.

    Attributes:
        key: the columns by which rows are replaced; several rows may share a key.
        columns: all columns.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


_VERDICT = (
    "undeliverable, risky, unknown (nothing speaks against it) or deliverable (a mailbox was confirmed, which only a "
    "provider of verification does)."
)
_REASONS = "Why, at least one word: docs/analysts.md says what each means, and lists them in the order in which they stand."
_PHONE_VERDICT = (
    "invalid (cannot be dialled), risky, unknown (fits its country's numbering plan; nobody was called) or valid (a line "
    "was confirmed)."
)
_JUDGED = (
    text("rules_version", "Version of the rules and lists by which it was judged."),
    Column("checked_at", INSTANT, "When it was judged (UTC)."),
)
_POSITION = Column(
    "position", "BIGINT", "Place within the value, from 1: a field may hold several."
)

_RECORDS = Column("records", "BIGINT", "How many live records have the text.")

EMAIL_VERDICTS = StageTable(
    "email_verdicts",
    "What each e-mail address of live records is good for, one row per address in each distinct text. Nothing was sent "
    "to find it out.",
    ("value",),
    (
        text("value", "The text in the CRM's field."),
        _POSITION,
        text("address", "The address within it, as written."),
        text("email_normalized", "The address in its normal form; NULL where it is none."),
        text("email_ascii", "The same with the domain in ASCII; NULL where that is not possible."),
        text("domain", "Its domain in lower case."),
        text("verdict", _VERDICT),
        texts("reasons", _REASONS),
        text("suggestion", "The address that was probably meant, where the domain looks mistyped."),
        text("method", "How it was judged: offline, or dns where mail servers were looked up."),
        _RECORDS,
        *_JUDGED,
    ),
)
PHONE_VERDICTS = StageTable(
    "phone_verdicts",
    "Which phone numbers of live records can be dialled, one row per number in each distinct text and region.",
    ("value", "region"),
    (
        text("value", "The text in the CRM's field."),
        text(
            "region", "Country by which national numbers were read (ISO 3166 code). Empty: unknown."
        ),
        _POSITION,
        text("number", "The number within it, as written."),
        text(
            "phone_e164",
            "The number as it is dialled from anywhere, also of one that is invalid; NULL where it is none.",
        ),
        text("extension", "Extension behind the number."),
        text("phone_type", "mobile, fixed_line, fixed_line_or_mobile, toll_free and so on."),
        text("phone_country", "Country of the number (ISO 3166 code)."),
        text("verdict", _PHONE_VERDICT),
        texts("reasons", _REASONS),
        _RECORDS,
        Column("people", "BIGINT", "How many of them are contacts and leads."),
        *_JUDGED,
    ),
)
CONTACT_POINTS = StageTable(
    "contact_points",
    "Every e-mail address and phone number of every live contact, company, lead and user, with its verdict.",
    ("record_key",),
    (
        text("connection", "Name of the connection that the record came through."),
        text("table_name", "Table of schema crm that the record belongs to."),
        text("record_key", "Key of the record: contact_key, company_key, lead_key or user_key."),
        text("kind", "email or phone."),
        text("label", "Which field: main, mobile, home, fax and so on."),
        text("value", "The text in the CRM's field."),
        Column("position", "BIGINT", "Place among the record's points of this kind, from 1."),
        Column(
            "is_primary",
            "BOOLEAN",
            "Whether it is the record's main address or number of this kind.",
        ),
        text(
            "region",
            "Country by which a phone number was read (ISO 3166 code). Empty: unknown; NULL: an e-mail address.",
        ),
        text(
            "normalized",
            "The address in its normal form, or the number as it is dialled from anywhere (also of one that is "
            "invalid); NULL where it is none.",
        ),
        text(
            "verdict",
            "Of an address: undeliverable, risky, unknown or deliverable; of a number: invalid, risky, unknown or "
            "valid. email_verdicts and phone_verdicts say what they mean.",
        ),
        Column("reasons", TEXTS, _REASONS),
        text("suggestion", "The address that was probably meant, where the domain looks mistyped."),
    ),
)
OF_EMAILS = (
    text(
        "email_verdict", f"What `email` is good for: {_VERDICT} NULL: there is none, or it is new."
    ),
    text("email_normalized", "`email` in its normal form; NULL where it is no address."),
)
"""Added to published tables with an e-mail address."""
OF_PHONES = (
    text(
        "phone_e164",
        "The main phone as it is dialled from anywhere, also of a number that is invalid; NULL where it is no number.",
    ),
    text(
        "phone_verdict",
        f"Whether the main phone can be dialled: {_PHONE_VERDICT} NULL: there is none, or it is new.",
    ),
)
"""Added to published tables with a phone number."""
