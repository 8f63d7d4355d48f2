-- Can I trust it? What is missing, late, doubted, or breaks a rule; no row means that nothing is known against it.
-- Objects that cannot be had, are late, or lack a part of their history or some records; reads that are not
-- believed; tables that are held back; windows whose landed records differ from the vendor's own counts; rows that
-- could not be used; broken rules.
-- A window is reconciled (differs_by = 0) if all that was read of it, less what the vendor leaves out of its counts,
-- lies between the counts before and after the read. Notes of ops.quality are no faults and stand there only.
-- Money: none. Days: days in findings are days in UTC.
SELECT 'failing' AS what, connection, object AS name,
       concat_ws(': ', format('{:.1f} h behind', (epoch(published_at) - epoch(current_at)) / 3600), error)
           AS finding
FROM ops.freshness, ops.publication
WHERE state = 'failing'
UNION ALL
SELECT 'late', connection, object,
       format('{:.1f} h behind', (epoch(published_at) - epoch(current_at)) / 3600)
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
SELECT 'quarantine', connection, table_name, format('{} landed rows cannot be used: {}', records, reason)
FROM ops.quarantine
WHERE table_name IS NOT NULL AND NOT is_dropped
UNION ALL
SELECT 'held back', connection, object,
       format('no change since {} is shown: what was read breaks a contract',
              strftime(held_back_since AT TIME ZONE 'UTC', '%Y-%m-%d'))
FROM ops.freshness
WHERE held_back_since IS NOT NULL
UNION ALL
SELECT 'window', connection, object,
       format('landed {} of {}', records + known + quarantined - coalesce(uncounted, 0), vendor_count)
FROM ops.windows
WHERE differs_by <> 0
UNION ALL
SELECT severity, connection, table_name,
       -- Rules of contracts say what is wrong with a row, those between tables what should hold.
       format(CASE kind WHEN 'consistency' THEN '{} of {} rows fail: {}' ELSE '{} of {} rows: {}' END,
              failures, rows, rule)
FROM ops.quality
WHERE failures > 0 AND severity <> 'note'
ORDER BY ALL;
