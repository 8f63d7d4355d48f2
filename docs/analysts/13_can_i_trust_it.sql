-- Can I trust it? Objects that cannot be had, are late, or lack a part of their history or some records; reads that
-- are not believed; windows whose landed records differ from the vendor's own count; rows that could not be used;
-- broken rules. No row means that nothing is known against it.
-- A window also holds what an earlier one had landed (`known`), what could not be landed, and what the vendor's
-- count leaves out (`uncounted`).
SELECT 'failing' AS what, connection, object AS name,
       concat_ws(': ', format('{:.1f} h behind', date_sub('second', current_at, published_at) / 3600), error)
           AS finding
FROM ops.freshness, ops.publication
WHERE state = 'failing'
UNION ALL
SELECT 'late', connection, object,
       format('{:.1f} h behind', date_sub('second', current_at, published_at) / 3600)
FROM ops.freshness, ops.publication
WHERE state = 'current' AND is_late
UNION ALL
SELECT 'unread', connection, object, 'nothing has been read'
FROM ops.freshness
WHERE state = 'unread'
UNION ALL
SELECT 'history', connection, object,
       format('nothing from before {} has been read', strftime(history_from AT TIME ZONE 'UTC', '%Y-%m-%d'))
FROM ops.freshness
WHERE history_from IS NOT NULL
UNION ALL
SELECT 'remark', connection, object, remarks
FROM ops.freshness
WHERE remarks IS NOT NULL
UNION ALL
SELECT 'quarantine', connection, table_name, format('{} landed rows cannot be used', quarantined)
FROM ops.tables
WHERE quarantined > 0
UNION ALL
SELECT 'window', connection, object,
       format('landed {} of {}', records + known + quarantined - coalesce(uncounted, 0), vendor_count)
FROM ops.windows
WHERE vendor_count IS NOT NULL
  AND records + known + quarantined - coalesce(uncounted, 0) <> vendor_count
UNION ALL
SELECT severity, connection, table_name, format('{}: {} of {} rows', rule, failures, rows)
FROM ops.quality
WHERE failures > 0
ORDER BY ALL;
