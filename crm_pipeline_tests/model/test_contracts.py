from crm_pipeline.contracts import Subject, judged
from crm_pipeline.contracts.model_contract import model_rules
from crm_pipeline.model.contracts import LIVE, arrow_type
from crm_pipeline.model.table import Rule, Table, day, flag, number, text
from crm_pipeline.model.tables import TABLES
from crm_pipeline.store.tables.engine import Engine

TABLE = Table(
    "things",
    "thing",
    "Things with every kind of rule.",
    (
        text("kind", "One of a, b."),
        text("email", "E-mail."),
        number("share", "Percent."),
        day("starts_on", "First day."),
        day("ends_on", "Last day."),
        flag("is_won", "Won."),
        flag("is_closed", "Closed."),
    ),
    (
        Rule("required", "kind"),
        Rule("one_of", "kind", values=("a", "b")),
        Rule("matches", "email", pattern=r"^[^@\s]+@[^@\s]+$", form="an address"),
        Rule("between", "share", low=0, high=100),
        Rule("not_before", "ends_on", other="starts_on"),
        Rule("implies", "is_won", other="is_closed"),
    ),
)


def test_deleted_rows_break_only_what_every_row_needs(tmp_path):
    """A table's own rules apply to live rows and to rows without a deletion mark; rules of keys to all."""
    row = "SELECT NULL AS thing_key, 'c' AS kind, {} AS is_deleted"
    rows = " UNION ALL ".join(row.format(f) for f in ("true", "false", "NULL"))
    empty = ", ".join(f"CAST(NULL AS {c.type}) AS {c.name}" for c in TABLE.columns)
    relation = f"(SELECT {empty} WHERE false UNION ALL BY NAME FROM ({rows}))"
    types = {column.name: arrow_type(column.type) for column in TABLE.columns}
    with Engine(tmp_path) as engine:
        subject = Subject(relation, TABLE.key, f"({LIVE})")
        results = judged(engine, subject, model_rules(TABLE, types))
    failures = {result.rule: result.failures for result in results}
    assert (failures["thing_key is empty"], failures["kind is not one of a, b"]) == (3, 2)
    assert failures["thing_key is not unique"] == 3


def test_rules_are_called_by_what_is_wrong():
    """Names of rules read well after a table's name, and are unique in each table."""
    names = [
        *("kind is empty", "kind is not one of a, b", "email is not an address"),
        *("share is not between 0 and 100", "ends_on before starts_on", "is_won but not is_closed"),
    ]
    assert [rule.name for rule in TABLE.body_rules] == names
    assert Rule("between", "rate", low=0).name == "rate is below 0"
    assert Rule("between", "rate", high=0.5).name == "rate is above 0.5"
    for table in TABLES.values():
        assert len({rule.name for rule in table.rules}) == len(table.rules)
