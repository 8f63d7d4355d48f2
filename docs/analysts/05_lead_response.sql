-- Lead response: how long does a lead wait until somebody turns to it, and until it is converted?
-- An activity counts from the moment it was done, else began, else was entered. What is open, lies ahead, came in
-- from outside, was called off, failed or reached nobody does not count; notes and tasks that were done do.
-- Where a lead is no person of its own (HubSpot, Pipedrive), activities of its contact that name no lead count, too.
-- Leads of CRMs that do not tell conversions have none (converted).
-- Money: none. Days: hours are counted to the second; days to convert are those of the account's own time zone.
WITH named AS (
    SELECT activity_key, lead_key FROM crm.activities WHERE lead_key IS NOT NULL
    UNION
    SELECT from_key, to_key
    FROM crm.associations
    WHERE from_table = 'activities' AND to_table = 'leads'
),
links AS (
    SELECT activity_key, lead_key FROM named
    UNION
    SELECT people.activity_key, l.lead_key
    FROM crm.activity_contacts AS people
    JOIN crm.leads AS l ON l.contact_key = people.contact_key
    WHERE people.activity_key NOT IN (SELECT activity_key FROM named)
),
touches AS (
    SELECT links.lead_key, coalesce(a.completed_at, a.starts_at, a.created_at) AS touched_at
    FROM links
    JOIN crm.activities AS a ON a.activity_key = links.activity_key
    WHERE a.is_closed IS NOT FALSE
      AND coalesce(lower(a.call_direction), '') NOT IN ('inbound', 'missed', 'internal')
      AND coalesce(lower(a.email_direction), '') <> 'inbound'
      AND coalesce(lower(a.status), '') NOT IN (
          'scheduled', 'canceled', 'rescheduled', 'no_show', 'failed', 'bounced', 'busy', 'no_answer', 'missed'
      )
),
first_touch AS (
    SELECT l.lead_key, min(t.touched_at) AS touched_at
    FROM crm.leads AS l
    JOIN touches AS t ON t.lead_key = l.lead_key
    CROSS JOIN ops.publication AS p
    WHERE t.touched_at >= l.created_at AND t.touched_at <= p.published_at
    GROUP BY l.lead_key
),
waits AS (
    SELECT l.connection, l.source, l.is_converted,
           (epoch(f.touched_at) - epoch(l.created_at)) / 3600 AS hours,
           l.converted_on - CAST(l.created_at AT TIME ZONE coalesce(c.time_zone, 'UTC') AS DATE) AS days
    FROM crm.leads AS l
    JOIN ops.connections AS c ON c.connection = l.connection
    LEFT JOIN first_touch AS f ON f.lead_key = l.lead_key
)
SELECT connection,
       coalesce(source, '(unknown)') AS source,
       count(*) AS leads,
       count(hours) AS touched,
       round(median(hours), 1) AS median_hours,
       round(count(*) FILTER (WHERE hours < 24) / count(*), 3) AS within_a_day,
       count(*) FILTER (WHERE is_converted) AS converted,
       median(days) AS median_days_to_convert
FROM waits
GROUP BY connection, coalesce(source, '(unknown)')
ORDER BY connection, leads DESC, source;
