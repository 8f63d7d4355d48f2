-- E-mail quality: how many contacts can be written to, and why not the others?
-- Only the main address is looked at. A contact can stand in several columns. Where nobody knows whether somebody
-- opted out, they cannot be written to. quarantined are those to whom HubSpot sends nothing. undeliverable and risky
-- are verdicts of this pipeline on addresses (see 22_what_may_be_mailed.sql); not_judged have an address without one.
-- 21_who_may_be_written_to.sql also asks the other CRMs.
-- Money: none. Days: none.
WITH cards AS (
    SELECT connection, email, email_verdict, email_bounced, email_opt_out,
           regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$') AS is_address,
           coalesce((custom ->> 'hs_email_quarantined') = 'true', false) AS is_quarantined
    FROM crm.contacts
)
SELECT connection,
       count(*) AS contacts,
       count(*) FILTER (WHERE email IS NULL) AS without_email,
       count(*) FILTER (WHERE NOT is_address) AS malformed,
       count(*) FILTER (WHERE email_verdict = 'undeliverable') AS undeliverable,
       count(*) FILTER (WHERE email_verdict = 'risky') AS risky,
       count(*) FILTER (WHERE email IS NOT NULL AND email_verdict IS NULL) AS not_judged,
       count(*) FILTER (WHERE email_bounced) AS bounced,
       count(*) FILTER (WHERE is_quarantined) AS quarantined,
       count(*) FILTER (WHERE email_opt_out) AS opted_out,
       count(*) FILTER (WHERE email_opt_out IS NULL) AS opt_out_unknown,
       count(*) FILTER (
           WHERE is_address AND email_verdict IS DISTINCT FROM 'undeliverable' AND NOT is_quarantined
             AND email_bounced IS NOT TRUE AND email_opt_out = false
       ) AS can_be_written_to
FROM cards
GROUP BY connection
ORDER BY connection;
