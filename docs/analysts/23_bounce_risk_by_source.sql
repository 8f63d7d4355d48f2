-- Bounce risk by source: which sources bring addresses that bounce, or that are likely to?
-- Main addresses of contacts and of leads that were judged. undeliverable and risky are verdicts of this pipeline;
-- bounced is what the CRM saw, and can be both; NULL: the CRM has no bounces.
-- Money: none. Days: none.
WITH people AS (
    SELECT connection, source, email_verdict, email_bounced FROM crm.contacts
    UNION ALL
    SELECT connection, source, email_verdict, email_bounced FROM crm.leads
)
SELECT connection,
       coalesce(source, '(unknown)') AS source,
       count(*) AS addresses,
       count(*) FILTER (WHERE email_verdict = 'undeliverable') AS undeliverable,
       count(*) FILTER (WHERE email_verdict = 'risky') AS risky,
       CASE WHEN count(email_bounced) > 0 THEN count(*) FILTER (WHERE email_bounced) END AS bounced,
       round(count(*) FILTER (WHERE email_verdict IN ('undeliverable', 'risky') OR email_bounced) / count(*), 3)
           AS share_at_risk
FROM people
WHERE email_verdict IS NOT NULL
GROUP BY connection, coalesce(source, '(unknown)')
ORDER BY share_at_risk DESC, addresses DESC, connection, source;
