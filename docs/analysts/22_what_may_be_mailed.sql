-- What may be mailed: how many addresses of each CRM can be used, and why not the others?
-- People are contacts, and leads that are persons and not converted. may_be_mailed counts addresses in crm.contactable,
-- each once per CRM; left_out are people with a usable address that somebody refused, or that bounced, in any CRM.
-- Of addresses that may be mailed, a CRM says of has_not_opted_out that the person did not opt out; of the others
-- nobody says anything, which is no consent.
-- Money: none. Days: none.
WITH people AS (
    SELECT connection, email, email_verdict, lower(email_normalized) AS address
    FROM crm.contacts
    UNION ALL
    SELECT connection, email, email_verdict, lower(email_normalized)
    FROM crm.leads
    WHERE is_converted IS NOT TRUE AND contact_key IS NULL
)
SELECT p.connection,
       count(*) AS people,
       count(*) FILTER (WHERE p.email IS NULL) AS without_email,
       count(*) FILTER (WHERE p.email IS NOT NULL AND p.email_verdict IS NULL) AS not_judged,
       count(*) FILTER (WHERE p.email_verdict = 'undeliverable') AS undeliverable,
       count(*) FILTER (WHERE p.email_verdict <> 'undeliverable' AND c.email IS NULL) AS left_out,
       count(DISTINCT c.email) AS may_be_mailed,
       count(DISTINCT c.email) FILTER (WHERE c.is_opt_out_known) AS has_not_opted_out,
       count(DISTINCT c.email) FILTER (WHERE c.verdict = 'risky') AS risky
FROM people AS p
LEFT JOIN crm.contactable AS c ON c.email = p.address
GROUP BY p.connection
ORDER BY p.connection;
