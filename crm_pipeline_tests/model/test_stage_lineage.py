from crm_pipeline.model.stage_lineage import (
    EMAIL_COLUMNS,
    FINISHED,
    OF_STAGES,
    PHONE_COLUMNS,
    completed_from,
)
from crm_pipeline.model.stages import STAGE_TABLES, with_added
from crm_pipeline.model.tables import TABLES
from crm_pipeline.model.verified_tables import EMAIL, PHONE
from crm_pipeline.stages.published.finished import FINISHES
from crm_pipeline.stages.verified.sources import _SOURCES


def test_origins_are_columns_that_exist() -> None:
    """Both ends of each origin are columns of the model."""
    known = {name: set(table.by_name) for name, table in TABLES.items()}
    known |= {name: {c.name for c in table.columns} for name, table in STAGE_TABLES.items()}
    published = {name: {c.name for c in with_added(name, t.columns)} for name, t in TABLES.items()}
    every = {**OF_STAGES, **{name: completed_from(name) for name in TABLES}}
    for table, origins in every.items():
        assert set(origins) <= {*known[table], *published.get(table, ())}, table
        for each in origins.values():
            assert all(origin.name in known[origin.of] for origin in each), table
    assert set(FINISHED) == set(FINISHES)


def test_points_come_from_the_columns_that_the_stage_reads() -> None:
    """The declared columns with addresses and numbers are those of `stages.verified`."""
    for kind, columns in ((EMAIL, EMAIL_COLUMNS), (PHONE, PHONE_COLUMNS)):
        read = {
            (table, column)
            for table, kinds in _SOURCES.items()
            if kind in kinds
            for column in (kinds[kind].listed, *(name for name, _, _ in kinds[kind].single))
            if column
        }
        assert {tuple(origin) for origin in columns} == read
