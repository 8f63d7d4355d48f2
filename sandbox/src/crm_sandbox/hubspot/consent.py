"""Communication preferences: subscriptions of contacts, and contacts who opted out of all mail.

Source: https://developers.hubspot.com/docs/api-reference/communication-preferences-v4/guide
"""

import threading
from dataclasses import dataclass
from typing import Any

from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import bodies
from crm_sandbox.hubspot.errors import ApiError, invalid, not_found, unsupported_method
from crm_sandbox.hubspot.instants import iso_of
from crm_sandbox.hubspot.objects.parties import SUBSCRIPTIONS, optout_of
from crm_sandbox.hubspot.paging import answered, inputs_of, json_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.writes import Writer

SUBSCRIBED, UNSUBSCRIBED, UNKNOWN = "SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"
_STATES = (SUBSCRIBED, UNSUBSCRIBED, UNKNOWN)
_BASES = (
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "LEGITIMATE_INTEREST_PQL",
    "NON_GDPR",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
)
# Each has a property of its own on contacts.
_KINDS = SUBSCRIPTIONS


@dataclass(frozen=True)
class Choice:
    """What somebody chose about one kind of mail."""

    state: str
    at_ms: int
    basis: str = ""
    explanation: str = ""


class ConsentHandler:
    """Answers about preferences of one portal.

    Args:
        portal: the portal.
        writer: writes what contacts show of it.
    """

    def __init__(self, portal: Portal, writer: Writer) -> None:
        self._portal = portal
        self._writer = writer
        self._lock = threading.RLock()
        self._choices: dict[tuple[str, int], Choice] = {}

    def handle(self, request: Request, parts: tuple[str, ...]) -> Response:
        """Answer the definitions, or somebody's choices."""
        if parts == ("definitions",) and request.method == "GET":
            return self._envelope([self._definition(number) for number in _KINDS])
        if not parts or parts[0] != "statuses" or len(parts) < 2:
            raise not_found()
        if parts[1] == "batch":
            return self._batch(request, parts[2:])
        if parts[2:] == ("unsubscribe-all",):
            return self._all(request, parts[1].lower())
        if len(parts) > 2:
            raise not_found()
        email = parts[1].lower()
        if request.method == "GET":
            self._channel(request.query)
            return self._envelope([self._shown(email, number) for number in _KINDS])
        if request.method != "POST":
            raise unsupported_method()
        return self._envelope([self._choose(email, json_of(request, bodies.Choice))])

    def _batch(self, request: Request, parts: tuple[str, ...]) -> Response:
        if request.method != "POST":
            raise unsupported_method()
        if parts == ("write",):
            entries = inputs_of(json_of(request, bodies.ChoiceBatch), 100)
            return self._envelope(
                [self._choose(str(e.get("subscriberIdString", "")).lower(), e) for e in entries]
            )
        body = json_of(request, bodies.Addresses)
        emails = [str(one).lower() for one in body.get("inputs") or ()]
        self._channel(request.query)
        if parts == ("read",):
            return self._envelope(
                [
                    {
                        "subscriberIdString": email,
                        "statuses": [self._shown(email, number) for number in _KINDS],
                    }
                    for email in emails
                ]
            )
        if parts == ("unsubscribe-all", "read"):
            return self._envelope(
                [{"subscriberIdString": e, "wideStatuses": self._wide(e)} for e in emails]
            )
        if parts == ("unsubscribe-all",):
            for email in emails:
                self._leave(email)
            return self._envelope(
                [
                    {
                        "subscriberIdString": e,
                        "statuses": [self._shown(e, number) for number in _KINDS],
                    }
                    for e in emails
                ]
            )
        raise not_found()

    def _all(self, request: Request, email: str) -> Response:
        self._channel(request.query)
        if request.method == "GET":
            return self._envelope(self._wide(email))
        if request.method != "POST":
            raise unsupported_method()
        self._leave(email)
        reason = {"setStatusSuccessReason": "UNSUBSCRIBE_FROM_ALL_OCCURRED"}
        return self._envelope([self._shown(email, number) | reason for number in _KINDS])

    def _leave(self, email: str) -> None:
        """Take somebody out of all mail; the contact shows it, and webhooks tell it."""
        with self._lock:
            for number in (0, *_KINDS):
                self._choices[email, number] = Choice(UNSUBSCRIBED, self._portal.now_ms())
            left = dict.fromkeys(map(optout_of, _KINDS), "true")
            self._write(email, {"hs_email_optout": "true", **left})

    def _choose(self, email: str, body: dict[str, Any]) -> dict[str, Any]:
        number, state = body.get("subscriptionId"), body.get("statusState")
        basis, why = body.get("legalBasis"), body.get("legalBasisExplanation")
        self._channel(body)
        if number not in _KINDS:
            raise not_found(f"Subscription {number} does not exist")
        if state not in _STATES:
            raise invalid(f"Invalid input JSON: statusState must be one of {list(_STATES)}")
        if basis is not None and basis not in _BASES:
            raise invalid(f"Invalid input JSON: legalBasis must be one of {list(_BASES)}")
        if self._portal.settings.data_privacy and not (basis and why):
            message = "legalBasis and legalBasisExplanation are required in this account"
            raise invalid(message, context={"properties": ["legalBasis", "legalBasisExplanation"]})
        with self._lock:
            before = self._state(email, int(number))
            if state == SUBSCRIBED and before == UNSUBSCRIBED and not basis:
                # Who left is not brought back without a reason.
                message = f"{email} has unsubscribed and cannot be subscribed without a legal basis"
                raise ApiError(400, "VALIDATION_ERROR", message)
            reason = "NO_STATUS_CHANGE"
            if state != before:
                back = state == SUBSCRIBED and before == UNSUBSCRIBED
                reason = "RESUBSCRIBE_OCCURRED" if back else "REQUESTED_CHANGE_OCCURRED"
                now = self._portal.now_ms()
                self._choices[email, int(number)] = Choice(state, now, basis or "", why or "")
                left = "true" if state == UNSUBSCRIBED else None
                self._write(email, {optout_of(int(number)): left})
        return self._shown(email, int(number)) | {"setStatusSuccessReason": reason}

    def _state(self, email: str, number: int) -> str:
        chosen = self._choices.get((email, number))
        if chosen is not None:
            return chosen.state
        return UNSUBSCRIBED if self._row(email).get("hs_email_optout") == "true" else UNKNOWN

    def _shown(self, email: str, number: int) -> dict[str, Any]:
        chosen = self._choices.get((email, number))
        made: dict[str, Any] = {
            "channel": "EMAIL",
            "subscriberIdString": email,
            "subscriptionId": number,
            "subscriptionName": _KINDS[number],
            "status": self._state(email, number),
            "source": "API" if chosen else "PORTAL_WIDE",
            "timestamp": iso_of(chosen.at_ms if chosen else self._portal.since_ms),
        }
        if chosen and chosen.basis:
            made |= {"legalBasis": chosen.basis, "legalBasisExplanation": chosen.explanation}
        return made

    def _wide(self, email: str) -> list[dict[str, Any]]:
        """Return that somebody left everything, or nothing."""
        chosen = self._choices.get((email, 0))
        if chosen is None and self._row(email).get("hs_email_optout") != "true":
            return []
        return [
            {
                "channel": "EMAIL",
                "subscriberIdString": email,
                "status": UNSUBSCRIBED,
                "wideStatusType": "PORTAL_WIDE",
                "timestamp": iso_of(chosen.at_ms if chosen else self._portal.since_ms),
            }
        ]

    def _row(self, email: str) -> dict[str, Any]:
        rows = self._portal.tables.rows(
            "SELECT _id, hs_email_optout FROM contacts WHERE NOT _archived AND lower(email) = ?",
            [email],
        )
        return rows[0] if rows else {}

    def _write(self, email: str, values: dict[str, str | None]) -> None:
        row = self._row(email)
        if row:
            one = self._portal.catalog.known("contacts")
            self._writer.store(one, {row["_id"]: values})

    def _channel(self, where: dict[str, Any]) -> None:
        if where.get("channel") != "EMAIL":
            raise invalid("channel is required and must be EMAIL")

    def _definition(self, number: int) -> dict[str, Any]:
        at = iso_of(self._portal.since_ms)
        return {
            "id": str(number),
            "name": _KINDS[number],
            "description": f"Mails of the kind {_KINDS[number]}",
            "purpose": "Marketing",
            "communicationMethod": "Email",
            "isActive": True,
            "isDefault": number == 170_001,
            "isInternal": number == 170_002,
            "createdAt": at,
            "updatedAt": at,
        }

    def _envelope(self, results: list[dict[str, Any]]) -> Response:
        at = iso_of(self._portal.now_ms())
        return answered(
            {"status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at}
        )
