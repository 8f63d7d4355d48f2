"""SQL that computes when a deal entered a stage from the times of Zoho's stage history.

A row of DealHistory is one stay in a stage: `Stage`, the next stage (`Moved_To__s`, empty while the deal is
still there), the number of days (`Stage_Duration_Calendar_Days`), and one time, `Modified_Time`. The vendor does not
document what this time means. Public clients read it in two ways:

* the deal ENTERED the stage. The rows that one of them shows fit only this: 26th 16:53, 27th 22:16, 28th 18:40,
  with one day each for the first two; another client's first row has the time of the deal's creation.
* the deal LEFT the stage, so that the previous row says when a stage was entered. The author of that client
  found that days and times did not agree; under this reading they cannot.

The first reading is used, unless the account's rows show the second: the days that Zoho counts are those from a
row to the next, or those from the previous row to it. Where no row has days, a last move with the time of the
previous row counts as a stage that was left. Days change at midnight in the org's time zone, so a difference of
one day is no contradiction. See docs/decisions/0030-zoho-says-by-its-days-what-a-stamp-means.md.
"""

ENTERED_AT = """
WITH rows_in_order AS (
    SELECT
        *,
        timezone('UTC', changed_at)::DATE AS _day,
        TRY_CAST(custom::JSON ->> '$.Stage_Duration_Calendar_Days' AS BIGINT) AS _days,
        lag(changed_at) OVER deal AS _before,
        lead(changed_at) OVER deal AS _next,
        count(*) OVER (deal ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS _later
    FROM {rows}
    WINDOW deal AS (
        -- A row without a deal has no neighbours.
        PARTITION BY coalesce(deal_key, deal_stage_history_key), is_deleted
        ORDER BY changed_at, length(source_id), source_id
    )
),
stays AS (
    SELECT
        _next = changed_at AS is_tie,
        _later = 1 AS is_last_move,
        _days > 1 AS is_long,
        abs(timezone('UTC', _next)::DATE - _day - _days) <= 1 AS fits_entered,
        coalesce(abs(_day - timezone('UTC', _before)::DATE - _days) <= 1, false) AS fits_left
    FROM rows_in_order
    WHERE deal_key IS NOT NULL AND _next IS NOT NULL
),
votes AS (
    SELECT
        count(*) FILTER (is_long AND fits_entered AND NOT fits_left) AS entered,
        count(*) FILTER (is_long AND NOT fits_entered AND (fits_left OR is_tie)) AS gone,
        count(*) FILTER (is_last_move AND is_tie) AS ties,
        count(*) FILTER (is_last_move AND NOT is_tie) AS moves
    FROM stays
),
reading AS (
    SELECT CASE WHEN entered + gone > 0 THEN gone > entered ELSE ties > moves END AS is_left FROM votes
)
SELECT rows_in_order.* EXCLUDE (_day, _days, _before, _next, _later) REPLACE (
    CASE
        WHEN NOT is_left THEN changed_at
        ELSE coalesce(_before, changed_at - to_days(coalesce(_days, 0)::INTEGER), changed_at)
    END AS changed_at
)
FROM rows_in_order CROSS JOIN reading
"""
"""SQL over the rows of the history that sets `changed_at` to the time at which the stage was entered.

Where times mean that a stage was left, the first stage of a deal starts as many whole days before its end as the
vendor counts; `changed_at` then differs from `modified_at`, which is the vendor's time.
"""
