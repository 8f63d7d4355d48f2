-- Conversion by cohort: of the leads of each month, how many were converted, and how many within 30 days?
-- Leads of which the CRM does not say whether they were converted stand in unknown; if that is all, so is the share.
-- The newest months had less time. Money: none. Days: months and days of the account's own time zone.
WITH cohorts AS (
    SELECT l.connection, l.is_converted,
           CAST(l.created_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) AS created_on, l.converted_on
    FROM crm.leads AS l
    JOIN ops.connections AS c ON c.connection = l.connection
)
SELECT connection,
       strftime(created_on, '%Y-%m') AS month,
       count(*) AS leads,
       count(*) FILTER (WHERE is_converted) AS converted,
       count(*) FILTER (WHERE is_converted IS NULL) AS unknown,
       round(count(*) FILTER (WHERE is_converted) / nullif(count(is_converted), 0), 3) AS conversion,
       count(*) FILTER (WHERE is_converted AND converted_on - created_on <= 30) AS within_30_days
FROM cohorts
GROUP BY connection, strftime(created_on, '%Y-%m')
ORDER BY connection, month;
