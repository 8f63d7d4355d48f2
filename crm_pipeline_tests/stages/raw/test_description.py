"""Descriptions that lost fields: for how long a person's acceptance counts."""

from types import SimpleNamespace
from typing import Any

import pytest

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.shrinkage import ShrinkBounds
from crm_pipeline.stages.raw import refused_description
from crm_pipeline.stages.raw.description import check_description
from crm_pipeline.store.landing.window import Counts

WHOLE = Schema("owners", "Owners", tuple(Field(f"f{n}", "x", "string") for n in range(40)))
LESS = Schema("owners", "Owners", WHOLE.fields[:20])


def read(org: Any, schema: Schema) -> None:
    org.clock.advance(3600)
    window = Window(None, org.clock.now())
    with org.landing.begin("acme", "owners", window, schema) as writer:
        writer.commit(Counts())


def test_a_description_is_believed_until_another_is_read(org) -> None:
    """Fields that were back and are lost again have to be accepted again, whatever the clock says."""
    obj, landing = SimpleNamespace(name="owners"), org.landing
    task: Any = SimpleNamespace(
        landing=landing, connection="acme", obj=obj, bounds=ShrinkBounds(), essential=frozenset()
    )
    for _ in range(2):
        read(org, WHOLE)
        org.clock.advance(60)
        with pytest.raises(ContractError):
            check_description(task, LESS)
        assert refused_description(landing, "acme", "owners") is not None
        org.clock.advance(-7200)
        landing.accept_schema("acme", "owners", LESS.fingerprint)
        org.clock.advance(7200)
        assert refused_description(landing, "acme", "owners") is None
        for _ in range(2):
            assert check_description(task, LESS) is task
            read(org, LESS)


def test_the_field_that_tells_deletions_is_not_given_up_lightly(org) -> None:
    """The field that marks deletions is one of forty, but deleted records would come back without it."""
    obj, landing = SimpleNamespace(name="owners"), org.landing
    read(org, WHOLE)
    task: Any = SimpleNamespace(
        landing=landing, connection="acme", obj=obj, bounds=ShrinkBounds(), essential={"f7"}
    )
    without = {name: Schema("owners", "Owners", _without(name)) for name in ("f7", "f8")}
    assert check_description(task, without["f8"]) is task
    with pytest.raises(ContractError, match=r"1 of 40 fields are not described any more \(f7\)"):
        check_description(task, without["f7"])


def _without(name: str) -> tuple[Field, ...]:
    return tuple(field for field in WHOLE.fields if field.name != name)
