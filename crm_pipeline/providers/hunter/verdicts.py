"""Hunter's words in ours: the status decides, flags are further reasons."""

from collections.abc import Iterator

import msgspec
import structlog

from crm_pipeline.verification.vocabulary import EmailReason

_log = structlog.get_logger(__name__)
STATUSES = frozenset({"valid", "invalid", "accept_all", "webmail", "disposable", "unknown"})


class Verification(msgspec.Struct):
    """The content of a response; a response of 202 has next to nothing."""

    status: str | None = None
    score: int | float | None = None
    regexp: bool | None = None
    gibberish: bool | None = None
    disposable: bool | None = None
    webmail: bool | None = None
    mx_records: bool | None = None
    smtp_check: bool | None = None
    accept_all: bool | None = None
    block: bool | None = None


class Response(msgspec.Struct):
    """The frame of a response."""

    data: Verification


def reasons_of(data: Verification) -> tuple[EmailReason, ...]:
    """Return what a verification says, the deciding reason first; each reason once."""
    return tuple(dict.fromkeys([*_by_status(data), *_flags(data)]))


def score_of(data: Verification) -> float | None:
    """Return the score from 0 to 1; None where it cannot be true."""
    return data.score / 100 if data.score is not None and 0 <= data.score <= 100 else None


def _by_status(data: Verification) -> Iterator[EmailReason]:
    if data.status == "valid":
        yield EmailReason.CONFIRMED
    elif data.status == "invalid":
        if data.regexp is False:
            yield EmailReason.BAD_SYNTAX
        elif data.mx_records is False:
            yield EmailReason.NO_MX
        else:
            yield EmailReason.MAILBOX_NOT_FOUND
    elif data.status == "accept_all":
        yield EmailReason.CATCH_ALL
    elif data.status == "disposable":
        yield EmailReason.DISPOSABLE
    elif data.status == "webmail":
        # It says whose domain it is; whether the mailbox is there says the check.
        is_confirmed = data.smtp_check is True and data.accept_all is not True
        yield EmailReason.CONFIRMED if is_confirmed else EmailReason.NO_RESULT
    else:
        if data.status not in STATUSES:
            _log.warning("Hunter answers with a status that is not known", status=data.status)
        yield EmailReason.NO_RESULT


def _flags(data: Verification) -> Iterator[EmailReason]:
    for flag, reason in (
        (data.webmail is True or data.status == "webmail", EmailReason.FREE_PROVIDER),
        (data.disposable is True, EmailReason.DISPOSABLE),
        (data.gibberish is True, EmailReason.GIBBERISH),
        (data.block is True, EmailReason.SMTP_BLOCKED),
        (data.accept_all is True, EmailReason.CATCH_ALL),
    ):
        if flag:
            yield reason
