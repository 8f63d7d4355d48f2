"""Owners and tags in connections.yaml, by the rules of Dagster, which shows them on assets.

The rules are repeated here so that a mistake is told with file and line; a test compares them with Dagster's own.
"""

import re
from collections.abc import Sequence
from typing import Any

from crm_pipeline.settings.model import problem

MOST_OWNERS = 20
MOST_TAGS = 20
OWN_TAGS = "crm/"
"""Prefix of the tags that are ours."""
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_TEAM = re.compile(r"team:[^\s:](?:[^\n\r\t]{0,98}[^\s])?")
_TAG = re.compile(r"(?:[A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")
_RESERVED = ("dagster/", OWN_TAGS)


def valid_owners(owners: Sequence[str]) -> Sequence[str]:
    """Return owners, each a team or an e-mail address, and none twice.

    Raises:
        PydanticCustomError: one is neither, or stands twice, or there are too many.
    """
    if len(owners) > MOST_OWNERS:
        raise problem(f"names more than {MOST_OWNERS} owners", cure="Name a team instead.")
    for index, owner in enumerate(owners):
        if not (_EMAIL.fullmatch(owner) or _TEAM.fullmatch(owner)):
            raise problem(
                f"holds something that is no owner (entry {index + 1})",
                cure="Write 'team:' and the name of a team, such as team:revops, or an e-mail address, such as "
                "jane@acme.com; of addresses Dagster takes ASCII only, with at most 7 letters after the last dot.",
                at=index,
            )
        if owners.index(owner) != index:
            raise problem(f"names '{owner}' twice", cure="Keep one of the two.", at=index)
    return owners


def valid_tags(tags: Any) -> Any:
    """Return tags; it sees them as YAML has them, to say what a value without quotes is.

    Raises:
        PydanticCustomError: a name or a value cannot be a tag in Dagster, or there are too many.
    """
    if not isinstance(tags, dict):
        return tags
    if len(tags) > MOST_TAGS:
        raise problem(
            f"has more than {MOST_TAGS} tags", cure="Keep those that somebody filters by."
        )
    for name, value in tags.items():
        _require_tag(name, value)
    return tags


def _require_tag(name: Any, value: Any) -> None:
    if not isinstance(name, str) or not _TAG.fullmatch(name):
        raise problem(
            "is no name for a tag",
            cure="Use at most 63 letters, digits, '_', '-' and '.'; a prefix of the same form may stand before a "
            "'/', such as acme/tier.",
            at=name,
        )
    if name.startswith(_RESERVED):
        raise problem(
            f"begins with '{name.split('/')[0]}/', which is reserved",
            cure="Choose another prefix, or none.",
            at=name,
        )
    if not isinstance(value, str):
        kind = "yes or no" if isinstance(value, bool) else "no text"
        raise problem(f"is {kind} to YAML", cure="Write the value in quotes.", at=name)
    if not _VALUE.fullmatch(value):
        raise problem(
            "has a value that no tag can have",
            cure="Use at most 63 letters, digits, '_', '-' and '.', without spaces.",
            at=name,
        )
