"""Columns that a table gets from other tables when it is published, as named SQL in small steps.

A step is a query over the table's own rows (`rows`), the tables that it needs (by their names, all rows of all
connections), `options`, `accounts`, and the steps before it. The last step yields the table. A record's own
value always goes first; a value that no source has stays NULL.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crm_pipeline.model.money import divided, trillionths

_AGREED = "CASE WHEN count(DISTINCT {0}) = 1 AND count({0}) = count(*) THEN min({0}) END"
"""The value that all rows of a group have; NULL where they disagree, because any choice could be wrong."""


def _agreed(column: str) -> str:
    return f"{_AGREED.format(column)} AS {column}"


@dataclass(frozen=True)
class Finish:
    """How a table is finished.

    Attributes:
        needs: the tables that its steps read beside its own.
        steps: name and SQL of each step, in order.
        by: the column with the API name of a stage; `<by>_label` gets its label. None where records have no stage.
    """

    needs: tuple[str, ...]
    steps: tuple[tuple[str, str], ...]
    by: str | None = None

    @property
    def label(self) -> str | None:
        """The column with the label of the stage."""
        return self.by and f"{self.by}_label"

    def sql(self, sources: Mapping[str, str], columns: Iterable[str]) -> str:
        """Return one query with all steps.

        Args:
            sources: SQL for the rows of `rows`, `options`, `accounts` and each table that is needed.
            columns: the columns of the last step, as SQL.
        """
        # Not materialized: wide tables are not copied between steps, and only the needed columns are read.
        named = [
            *((name, sources[name]) for name in ("rows", "options", "accounts", *self.needs)),
            *self.steps,
        ]
        listed = ", ".join(f"{name} AS NOT MATERIALIZED ({sql})" for name, sql in named)
        return f"WITH {listed} SELECT {', '.join(columns)} FROM {named[-1][0]}"


def _stages_of(table: str) -> tuple[tuple[str, str], ...]:
    """Return the steps that list the stages of a table's records.

    A deleted stage labels old records, unless a live stage has the same name.
    """
    return (
        (
            "known_stages",
            f"""
            SELECT s.connection, s.pipeline_key, s.pipeline_source_id, s.name, s.label, s.is_closed, s.is_won
            FROM stages s LEFT JOIN pipelines p USING (pipeline_key)
            WHERE coalesce(p.for_table, '{table}') = '{table}' AND s.name IS NOT NULL
            QUALIFY NOT s.is_deleted
                OR bool_and(s.is_deleted) OVER (PARTITION BY s.connection, s.pipeline_key, s.name)
            """,
        ),
        (
            "stage_in_pipeline",
            f"""
            SELECT connection, pipeline_key, name, {_agreed("label")}, {_agreed("is_closed")}, {_agreed("is_won")}
            FROM known_stages GROUP BY connection, pipeline_key, name
            """,
        ),
        (
            "stage_by_name",
            f"""
            SELECT connection, name, {_agreed("label")}, {_agreed("is_closed")}, {_agreed("is_won")},
                {_agreed("pipeline_key")}, {_agreed("pipeline_source_id")}
            FROM known_stages GROUP BY connection, name
            """,
        ),
    )


_STAGE_JOINS = """
LEFT JOIN stage_in_pipeline i
    ON i.connection = r.connection AND i.pipeline_key = r.pipeline_key AND i.name = r.{by}
LEFT JOIN stage_by_name n ON n.connection = r.connection AND n.name = r.{by}
"""


def _labelled(by: str, rows: str = "rows") -> tuple[str, str]:
    """Return the step that labels stages: from `stages`, else from the labels of the field's pick list."""
    joins = _STAGE_JOINS.format(by=by)
    return (
        "labelled",
        f"""
        SELECT r.* REPLACE (coalesce(i.label, n.label, o.label, r.{by}_label) AS {by}_label)
        FROM {rows} r {joins}
        LEFT JOIN options o
            ON o.connection = r.connection AND o.object = r.object AND o.value = r.{by}
        """,
    )


_CLOSING = (
    "closing",
    "SELECT connection FROM known_stages GROUP BY connection HAVING bool_or(is_closed)",
)
"""Connections whose CRM closes deals by stage; where no stage is closed, stages do not say whether a deal is closed."""

_CLOSED = (
    "closed",
    f"""
    SELECT r.* REPLACE (
        coalesce(r.is_closed, s.is_closed) AS is_closed,
        coalesce(
            r.is_won, CASE WHEN r.is_closed IS NULL OR r.is_closed = s.is_closed THEN s.is_won END
        ) AS is_won,
        -- Where stages close deals, entering one is the closing.
        coalesce(
            r.closed_at, CASE WHEN r.is_closed IS NULL AND s.is_closed THEN r.stage_changed_at END
        ) AS closed_at
    )
    FROM labelled r
    LEFT JOIN (
        SELECT r.deal_key,
            coalesce(i.is_closed, n.is_closed) AS is_closed, coalesce(i.is_won, n.is_won) AS is_won
        FROM rows r JOIN closing USING (connection)
        {_STAGE_JOINS.format(by="stage")}
        WHERE r.is_closed IS NULL OR r.is_won IS NULL
    ) s USING (deal_key)
    """,
)

_MAIN_CURRENCY = (
    "main_currency",
    f"""
    SELECT connection, coalesce(m.currency, a.currency) AS currency
    FROM (
        SELECT connection, {_agreed("currency")} FROM exchange_rates
        WHERE is_main AND NOT is_deleted GROUP BY connection
    ) m FULL JOIN accounts a USING (connection)
    """,
)

_MONEY = (
    _MAIN_CURRENCY,
    (
        "of_another_base",
        # Connections whose rates are against another currency: their main currency's rate is not 1.
        """
        SELECT DISTINCT connection FROM exchange_rates e JOIN main_currency m USING (connection)
        WHERE NOT e.is_deleted
            AND ((e.currency = m.currency AND e.rate <> 1) OR (e.is_main AND e.currency <> m.currency))
        """,
    ),
    (
        "rates",
        f"""
        SELECT connection, currency, starts_on, coalesce(ends_on, DATE 'infinity') AS ends_on,
            {trillionths("CAST(rate AS DECIMAL(38,12))")} AS trillionths
        FROM exchange_rates ANTI JOIN of_another_base USING (connection)
        WHERE NOT is_deleted AND currency IS NOT NULL AND rate BETWEEN 0.000000000001 AND 100000000000000
        """,
    ),
    (
        "plain_rates",
        f"""
        SELECT connection, currency, {_agreed("trillionths")}
        FROM rates WHERE starts_on IS NULL GROUP BY connection, currency
        """,
    ),
    (
        "overlapping",
        # Currencies with a rate that ends after the end of a rate that started later or on the same day.
        """
        SELECT DISTINCT connection, currency FROM (
            SELECT connection, currency, ends_on, count(*) OVER (PARTITION BY connection, currency, starts_on) AS alike,
                max(ends_on) OVER (PARTITION BY connection, currency ORDER BY starts_on, ends_on
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM rates WHERE starts_on IS NOT NULL
        )
        WHERE alike > 1 OR before > ends_on
        """,
    ),
    (
        "days",
        """
        SELECT DISTINCT connection, currency, close_date FROM rows
        WHERE amount IS NOT NULL AND currency IS NOT NULL
        """,
    ),
    (
        "rates_of_day",
        # ASOF suffices where rates do not overlap; where they do, each rate is compared with each day.
        """
        SELECT y.connection, y.currency, y.close_date, d.starts_on, d.trillionths
        FROM (FROM days ANTI JOIN overlapping USING (connection, currency)) y
        ASOF JOIN (FROM rates WHERE starts_on IS NOT NULL) d
            ON d.connection = y.connection AND d.currency = y.currency AND d.starts_on <= y.close_date
        WHERE y.close_date < d.ends_on
        UNION ALL
        SELECT y.connection, y.currency, y.close_date, d.starts_on, d.trillionths
        FROM (FROM days SEMI JOIN overlapping USING (connection, currency)) y
        JOIN rates d ON d.connection = y.connection AND d.currency = y.currency
            AND d.starts_on <= y.close_date AND y.close_date < d.ends_on
        QUALIFY d.starts_on = max(d.starts_on) OVER (PARTITION BY y.connection, y.currency, y.close_date)
        """,
    ),
    (
        "rate_of_day",
        # The valid rate that started last; else the rate without dates.
        f"""
        SELECT y.connection, y.currency, y.close_date, d.starts_on,
            CASE WHEN d.starts_on IS NULL THEN p.trillionths ELSE d.trillionths END AS trillionths
        FROM days y
        LEFT JOIN (
            SELECT connection, currency, close_date, starts_on, {_agreed("trillionths")}
            FROM rates_of_day GROUP BY connection, currency, close_date, starts_on
        ) d ON d.connection = y.connection AND d.currency = y.currency AND d.close_date = y.close_date
        LEFT JOIN plain_rates p ON p.connection = y.connection AND p.currency = y.currency
        """,
    ),
    (
        "worths",
        f"""
        SELECT r.*, d.starts_on,
            CASE
                WHEN r.currency IS NULL OR r.currency = m.currency THEN r.amount
                ELSE {divided("r.amount", "d.trillionths")}
            END AS worth
        FROM closed r
        LEFT JOIN main_currency m ON m.connection = r.connection
        LEFT JOIN rate_of_day d
            ON d.connection = r.connection AND d.currency = r.currency AND d.currency IS DISTINCT FROM m.currency
            AND d.close_date IS NOT DISTINCT FROM r.close_date
        """,
    ),
    (
        "converted",
        """
        SELECT * REPLACE (
            coalesce(amount_main, worth) AS amount_main,
            CASE
                WHEN amount_main IS NOT NULL OR rate_on IS NOT NULL THEN rate_on
                WHEN worth IS NOT NULL THEN starts_on
            END AS rate_on
        )
        FROM worths
        """,
    ),
)

_IN_PIPELINES = (
    "in_pipelines",
    """
    SELECT r.* REPLACE (
        CASE WHEN r.pipeline_key IS NOT NULL THEN r.pipeline_source_id ELSE f.pipeline_source_id END
            AS pipeline_source_id,
        coalesce(r.pipeline_key, f.pipeline_key) AS pipeline_key
    )
    FROM rows r
    LEFT JOIN (
        SELECT h.deal_stage_history_key,
            CASE WHEN n.pipeline_key IS NULL THEN d.pipeline_key ELSE n.pipeline_key END AS pipeline_key,
            CASE WHEN n.pipeline_key IS NULL THEN d.pipeline_source_id ELSE n.pipeline_source_id END
                AS pipeline_source_id
        FROM rows h
        LEFT JOIN stage_by_name n ON n.connection = h.connection AND n.name = h.stage
        LEFT JOIN deals d ON d.deal_key = h.deal_key
        LEFT JOIN stage_in_pipeline i
            ON i.connection = h.connection AND i.pipeline_key = d.pipeline_key AND i.name = h.stage
        -- A stage of several pipelines counts as one of the deal's pipeline, if that pipeline has it.
        WHERE h.pipeline_key IS NULL AND (n.pipeline_key IS NOT NULL OR n.name IS NULL OR i.name IS NOT NULL)
    ) f USING (deal_stage_history_key)
    """,
)

_PRICES = (
    _MAIN_CURRENCY,
    (
        "standard_prices",
        # A price without a currency is in the account's currency, as all amounts are.
        """
        SELECT p.connection, p.product_key, coalesce(p.currency, m.currency) AS currency, p.price
        FROM product_prices p LEFT JOIN main_currency m ON m.connection = p.connection
        WHERE p.is_standard AND p.is_active AND NOT p.is_deleted AND p.price IS NOT NULL
        """,
    ),
    (
        "price_currency",
        # If all standard prices have one currency it counts, else the account's.
        f"""
        SELECT b.connection, coalesce(b.currency, m.currency) AS currency
        FROM (SELECT connection, {_agreed("currency")} FROM standard_prices GROUP BY connection) b
        LEFT JOIN main_currency m ON m.connection = b.connection
        """,
    ),
    (
        "usual_prices",
        f"""
        SELECT s.product_key, s.currency, {_agreed("price")}
        FROM standard_prices s JOIN price_currency c
            ON c.connection = s.connection AND c.currency IS NOT DISTINCT FROM s.currency
        GROUP BY s.product_key, s.currency
        """,
    ),
    (
        "priced",
        # A price and its currency belong together: the record's own currency is not that of a price-book price.
        """
        SELECT r.* REPLACE (
            coalesce(r.price, u.price) AS price,
            CASE WHEN r.price IS NULL AND u.price IS NOT NULL THEN u.currency ELSE r.currency END AS currency
        )
        FROM rows r LEFT JOIN usual_prices u ON u.product_key = r.product_key
        """,
    ),
)

_STAGES = ("stages", "pipelines")

FINISHES: Mapping[str, Finish] = {
    "deals": Finish(
        (*_STAGES, "exchange_rates"),
        (*_stages_of("deals"), _CLOSING, _labelled("stage"), _CLOSED, *_MONEY),
        "stage",
    ),
    "deal_stage_history": Finish(
        (*_STAGES, "deals"),
        (*_stages_of("deals"), _IN_PIPELINES, _labelled("stage", "in_pipelines")),
        "stage",
    ),
    "products": Finish(("product_prices", "exchange_rates"), _PRICES),
    "leads": Finish(_STAGES, (*_stages_of("leads"), _labelled("status")), "status"),
    "tickets": Finish(_STAGES, (*_stages_of("tickets"), _labelled("status")), "status"),
}
"""The finishes by table; other tables are published as they are."""
