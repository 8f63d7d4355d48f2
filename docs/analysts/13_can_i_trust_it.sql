-- Can I trust it? Windows whose landed records differ from the vendor's own count, and broken rules.
-- A window also holds what an earlier one had landed (`known`) and what could not be landed.
SELECT 'window' AS what, connection, object AS name,
       format('landed {} of {}', records + known + quarantined, vendor_count) AS finding
FROM ops.windows
WHERE vendor_count IS NOT NULL AND records + known + quarantined <> vendor_count
UNION ALL
SELECT severity, connection, table_name, format('{}: {} of {} rows', rule, failures, rows)
FROM ops.quality
WHERE failures > 0
ORDER BY ALL;
