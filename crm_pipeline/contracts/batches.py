"""Run the checks that only pandera can judge, on record batches as Arrow-backed frames, in bounded memory.

Each check sees `BATCH_ROWS` rows at a time, so it has to judge single rows. A check that returns one truth value for
all of its rows, or that judges the first rows otherwise when they are cut differently, is refused. Columns
that a contract declares under `whole` are read at once, up to `WHOLE_BYTES`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from crm_pipeline.contracts.compiled import Left, needs_whole
from crm_pipeline.contracts.rules import RuleResult
from crm_pipeline.contracts.scan import EXAMPLES, Subject
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.names import quoted
from crm_pipeline.store.tables.engine import Engine

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 65_536
WHOLE_BYTES = 256 * 1024**2
_KEY = "_judged_key"
_CHANGED = "_judged_changed"


@dataclass
class _Count:
    failures: int = 0
    changed: int = 0
    keys: list[str] = field(default_factory=list)
    fault: str = ""


def judged_by_pandera(
    engine: Engine, subject: Subject, left: Sequence[Left], failing: str = ""
) -> list[RuleResult]:
    """Return the results of checks that pandera runs.

    Args:
        engine: reads the rows.
        subject: the rows; deleted ones are not judged.
        left: the checks.
        failing: the name of a table to make of the keys of rows that break a check of policy `quarantine`, with
            `_reason`; "" for none.

    Raises:
        ConfigError: a check judges more than single rows.
    """
    if not left:
        return []
    counts = [_Count() for _ in left]
    aside: list[tuple[str, str]] = []
    changed_rows = _count_batches(engine, subject, left, counts, aside)
    for one, count in zip(left, counts, strict=True):
        if one.is_whole:
            _count_whole(engine, subject, one, count)
    if failing:
        columns = {"key": [k for k, _ in aside], "_reason": [r for _, r in aside]}
        engine.load(failing, pa.table({n: pa.array(v, pa.string()) for n, v in columns.items()}))
    return [
        RuleResult(
            one.rule.name + count.fault,
            one.rule.severity,
            count.failures,
            tuple(sorted(count.keys)),
            one.rule.policy,
            count.changed if subject.changed else None,
            changed_rows,
            one.rule.contract,
        )
        for one, count in zip(left, counts, strict=True)
    ]


def _count_batches(
    engine: Engine,
    subject: Subject,
    left: Sequence[Left],
    counts: Sequence[_Count],
    aside: list[tuple[str, str]],
) -> int:
    by_row = [(one, count) for one, count in zip(left, counts, strict=True) if not one.is_whole]
    if not by_row:
        return 0
    changed_rows = 0
    is_first = True
    for frame, keys, is_changed in _frames(engine, subject, [one for one, _ in by_row]):
        changed_rows += int(is_changed.sum())
        for one, count in by_row:
            if is_first:
                _refuse_dependent(one, frame)
            failing = _failing(one, frame, count)
            count.failures += int(failing.sum())
            count.changed += int((failing & is_changed).sum())
            named = keys[failing].dropna().tolist() if failing.any() else []
            count.keys = sorted({*count.keys, *named[:EXAMPLES]})[:EXAMPLES]
            if one.rule.policy == "quarantine":
                aside.extend((key, one.rule.name) for key in named)
        is_first = False
    return changed_rows


def _frames(
    engine: Engine, subject: Subject, left: Sequence[Left]
) -> "Iterator[tuple[pd.DataFrame, pd.Series, pd.Series]]":
    """Yield frames of live rows, their keys, and whether each row changed."""
    import pandas as pd

    needed = {name for one in left for name in one.reads}
    columns = "*" if any(not one.reads for one in left) else ", ".join(map(quoted, sorted(needed)))
    changed = (
        f"({quoted(subject.key)} IN (SELECT {quoted(subject.key)} FROM {subject.changed}))"
        if subject.changed
        else "false"
    )
    key = quoted(subject.key) if subject.key else "NULL"
    sql = (
        f"SELECT CAST({key} AS VARCHAR) AS {_KEY}, coalesce({changed}, false) AS "
        f"{_CHANGED}, {columns} FROM {subject.relation} WHERE {subject.live}"
    )
    for batch in engine.batches(sql, BATCH_ROWS):
        frame = pa.Table.from_batches([batch]).to_pandas(types_mapper=pd.ArrowDtype)
        keys = frame.pop(_KEY)
        yield frame, keys, frame.pop(_CHANGED).astype(bool)


def _failing(one: Left, frame: "pd.DataFrame", count: _Count) -> "pd.Series":
    """Return for each row of a frame whether it breaks a check."""
    import pandas as pd

    nothing = pd.Series(data=False, index=frame.index)
    if frame.empty:
        return nothing
    if one.check is None:
        return nothing | _broken_column(one, frame)
    try:
        result = one.check(frame, one.column.name) if one.column else one.check(frame)
        output = result.check_output
        if isinstance(output, pd.DataFrame):
            output = output.all(axis="columns")
        is_by_row = isinstance(output, pd.Series)
        bad = ~output.astype(bool) if is_by_row else nothing
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        # To pandera, a check that raises is a check that fails. Its text may hold values.
        count.fault = f" (raises {type(error).__name__})"
        return ~nothing
    if not is_by_row:
        raise needs_whole(one.rule.contract, one.rule.check)
    return nothing | bad.reindex(frame.index, fill_value=False)


def _broken_column(one: Left, frame: "pd.DataFrame") -> "pd.Series":
    """Return for each row whether it breaks a column's parsers, type or checks."""
    import pandas as pd
    import pandera.errors

    broken = pd.Series(data=False, index=frame.index)
    column = one.column
    if column is None:
        return broken
    [name] = one.reads
    named = column if column.name == name else column.set_name(name)
    try:
        named.validate(frame[[name]], lazy=True)
    except pandera.errors.SchemaErrors as error:
        rows = error.failure_cases["index"]
        if rows.isna().any():
            return ~broken
        broken.loc[rows.astype(int).unique()] = True
    return broken


def _refuse_dependent(one: Left, frame: "pd.DataFrame") -> None:
    """Refuse a check that judges the first rows otherwise when it sees fewer rows.

    Raises:
        ConfigError: it does.
    """
    half = len(frame) // 2
    if one.check is None or one.check.element_wise or not half:
        return
    probe = _Count()
    parts = [
        _failing(one, part.reset_index(drop=True), probe).tolist()
        for part in (frame.iloc[:half], frame.iloc[half:])
    ]
    whole = _failing(one, frame, probe).tolist()
    if not probe.fault and [*parts[0], *parts[1]] != whole:
        raise needs_whole(one.rule.contract, one.rule.check)


def _count_whole(engine: Engine, subject: Subject, one: Left, count: _Count) -> None:
    """Judge columns that were declared to be needed whole.

    Raises:
        ConfigError: they do not fit into memory.
    """
    import pandas as pd

    columns = ", ".join(map(quoted, one.reads))
    sql = f"SELECT {columns} FROM {subject.relation} WHERE {subject.live}"
    batches = []
    size = 0
    for batch in engine.batches(sql, BATCH_ROWS):
        batches.append(batch)
        size += batch.nbytes
        if size > WHOLE_BYTES:
            raise ConfigError(
                f"{one.rule.contract or 'the contract'}: the columns of the check '{one.rule.check}' take more than "
                f"{WHOLE_BYTES // 1024**2} MB, and it needs them whole.",
                cure="Name fewer columns, or write a check of single rows.",
            )
    if not batches or one.check is None:
        return
    frame = pa.Table.from_batches(batches).to_pandas(types_mapper=pd.ArrowDtype)
    try:
        result = one.check(frame, one.column.name) if one.column else one.check(frame)
        passed = bool(result.check_passed)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        count.fault = f" (raises {type(error).__name__})"
        passed = False
    if not passed:
        count.failures = len(frame)
