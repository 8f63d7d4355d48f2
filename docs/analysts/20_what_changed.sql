-- What changed: how many records of each table are new, changed, deleted or restored since yesterday's publish?
-- yesterday is the last publish before the file's own day. On the first day there is none to compare with, so the
-- answer is empty, as it is where nothing changed. NULL: that file can no longer be read. For what came since the
-- publish before this one write 'last publish' instead.
-- Money: none. Days: the day ends at midnight UTC; since_at is the moment of that publish, in UTC.
SELECT connection, table_name, new, changed, deleted, restored, since_at AT TIME ZONE 'UTC' AS since_at
FROM ops.changes
WHERE since = 'yesterday'
  AND (new IS NULL OR new + changed + deleted + restored > 0)
ORDER BY connection, table_name;
