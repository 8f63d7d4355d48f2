"""Parameters of a list request, read and validated before any record is read."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crm_sandbox.http import Parameters
from crm_sandbox.pipedrive.errors import invalid, not_allowed
from crm_sandbox.pipedrive.schema import Entity
from crm_sandbox.pipedrive.values import MOST_INTEGER

# Whole seconds only; fractions and a space instead of the T are refused.
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
STATUSES = ("open", "won", "lost", "deleted")


@dataclass
class Question:
    """A list that was asked for.

    Attributes:
        where: conditions over the record `r`, with `params`.
        asked: columns named by `include_fields`.
        keys: custom fields to show; None for all.
        option_labels: whether options of custom fields come as id and label.
        labels: whether the record's own labels come with their names beside their ids.
    """

    limit: int = 100
    cursor: str = ""
    sort: str = "id"
    descending: bool = False
    where: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    asked: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    option_labels: bool = False
    labels: bool = False
    statuses: tuple[str, ...] = ()

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition."""
        self.where.append(condition)
        self.params += values


class Reader:
    """Collects what is wrong with the parameters, so that one refusal names everything."""

    def __init__(self, query: Parameters) -> None:
        self.query = query
        self.problems: list[str] = []

    def check(self, allowed: set[str]) -> None:
        """Complain about parameters that do not exist here."""
        ours = {"api_token"}
        self.problems += [not_allowed(name) for name in self.query if name not in allowed | ours]

    def number(self, name: str, default: int, most: int) -> int:
        """Return a number of 1 to `most`."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not re.fullmatch(r"[0-9]+", text):
            self.problems.append(f"{name}: {name} must be a number")
        elif not 1 <= int(text) <= most:
            self.problems.append(f"{name}: {name} must be between 1 and {most}")
        else:
            return int(text)
        return default

    def stamp(self, name: str) -> datetime | None:
        """Return a moment in naive UTC."""
        text = self.query.get(name)
        if text is None:
            return None
        if _STAMP.fullmatch(text):
            try:
                moment = datetime.fromisoformat(text)
                return moment.astimezone(UTC).replace(tzinfo=None)
            except ValueError:
                pass
        self.problems.append(f"{name}: {name} must be in RFC3339 format")
        return None

    def choice(self, name: str, known: tuple[str, ...], default: str) -> str:
        """Return one of some words."""
        text = self.query.get(name, default)
        if text not in known:
            self.problems.append(f"{name}: {name} must be one of [{', '.join(known)}]")
            return default
        return text

    def words(self, name: str, most: int) -> tuple[str, ...]:
        """Return a list of words with commas between, also where its name was repeated."""
        text = self.query.joined(name)
        found = tuple(word.strip() for word in text.split(",") if word.strip())
        if len(found) > most:
            self.problems.append(f"{name}: {name} must not have more than {most} items")
        return found

    def flag(self, name: str) -> bool | None:
        """Return a boolean, None where it is not there."""
        text = self.query.get(name)
        if text is None:
            return None
        if text.lower() not in _FLAGS:
            self.problems.append(f"{name}: {name} must be a boolean")
        return _FLAGS.get(text.lower())

    def refuse(self) -> None:
        """Raise what was collected.

        Raises:
            ApiError: 400 with every problem.
        """
        if self.problems:
            raise invalid(*self.problems)


def is_id(text: str) -> bool:
    """Say whether a text can be the number of a record."""
    return re.fullmatch(r"[0-9]{1,10}", text) is not None and int(text) <= MOST_INTEGER


def list_question(entity: Entity, query: Parameters) -> Question:
    """Read the parameters of a v2 list.

    Raises:
        ApiError: 400 for each wrong or unknown one.
    """
    reader = Reader(query)
    reader.check(_allowed(entity))
    made = Question(limit=reader.number("limit", 100, 500), cursor=query.get("cursor", ""))
    made.sort = reader.choice("sort_by", entity.sorts, "id")
    made.descending = reader.choice("sort_direction", ("asc", "desc"), "asc") == "desc"
    made.option_labels = bool(reader.flag("include_option_labels"))
    made.labels = bool(reader.flag("include_labels"))
    _selection(entity, reader, made)
    for parameter, sign in (("updated_since", ">="), ("updated_until", "<")):
        moment = reader.stamp(parameter) if parameter in entity.period else None
        if moment is not None:
            made.add(f'r."update_time" {sign} ?', moment)
    if "filter_id" not in query:
        _filters(entity, reader, made)
    reader.refuse()
    return made


def record_question(entity: Entity, query: Parameters) -> Question:
    """Read the parameters of one record."""
    reader = Reader(query)
    reader.check({"include_fields", "custom_fields", "include_option_labels", "include_labels"})
    made = Question(option_labels=bool(reader.flag("include_option_labels")))
    made.labels = bool(reader.flag("include_labels"))
    _selection(entity, reader, made)
    reader.refuse()
    return made


def _allowed(entity: Entity) -> set[str]:
    names = {"limit", "cursor", "sort_by", "sort_direction", *entity.filters, *entity.period}
    names |= set(entity.asks)
    if entity.name in {"pipelines", "stages"}:
        return names
    names |= {"ids", "filter_id"}
    if entity.has_custom:
        names.add("custom_fields")
    if entity.name in {"deals", "persons", "organizations"}:
        names |= {"include_option_labels", "include_labels"}
    if any(one.shown == "asked" for one in entity.columns):
        names.add("include_fields")
    return names


def _selection(entity: Entity, reader: Reader, made: Question) -> None:
    made.asked = reader.words("include_fields", 50)
    # The vendor's description lists a deal's lead among these, and shows it in plain answers.
    known = {
        one.name for one in entity.columns if one.shown == "asked" or one.name == "source_lead_id"
    }
    reader.problems += [
        f"include_fields: '{name}' is not a valid value" for name in made.asked if name not in known
    ]
    if "custom_fields" in reader.query:
        made.keys = reader.words("custom_fields", 15)


def _filters(entity: Entity, reader: Reader, made: Question) -> None:
    query = reader.query
    ids = reader.words("ids", 100)
    if "ids" in query:
        if not all(is_id(word) for word in ids):
            reader.problems.append("ids: ids must be a list of numbers")
        else:
            made.add('r."id" IN (SELECT unnest(?::INTEGER[]))', [int(word) for word in ids])
    for parameter, column in entity.filters.items():
        if parameter not in query:
            continue
        if parameter == "done":
            made.add('r."done" = ?', bool(reader.flag("done")))
        elif parameter == "lead_id":
            made.add('r."lead_id" = ?', query[parameter])
        elif is_id(query[parameter]):
            made.add(f'r."{column}" = ?', int(query[parameter]))
        else:
            reader.problems.append(f"{parameter}: {parameter} must be a number")
    _special(entity, reader, made)


def _special(entity: Entity, reader: Reader, made: Question) -> None:
    """Read the filters that only one object has."""
    query = reader.query
    if "status" in entity.asks and "status" in query:
        made.statuses = reader.words("status", 4)
        if unknown := [one for one in made.statuses if one not in STATUSES]:
            reader.problems.append(f"status: '{unknown[0]}' is not one of [{', '.join(STATUSES)}]")
    if "deal_id" in entity.asks and "deal_id" in query:
        if not is_id(query["deal_id"]):
            reader.problems.append("deal_id: deal_id must be a number")
        made.add('r."id" = (SELECT person_id FROM deals WHERE id = ?)', query["deal_id"])
