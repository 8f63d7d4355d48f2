-- E-mail quality: how many contacts can be written to, and why not the others?
-- Only the main address is looked at. A contact can stand in several columns. Consent that nobody knows is not
-- given; 21_who_may_be_written_to.sql also asks the other CRMs.
-- Money: none. Days: none.
SELECT connection,
       count(*) AS contacts,
       count(*) FILTER (WHERE email IS NULL) AS without_email,
       count(*) FILTER (WHERE NOT regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')) AS malformed,
       count(*) FILTER (WHERE email_bounced) AS bounced,
       count(*) FILTER (WHERE email_opt_out) AS opted_out,
       count(*) FILTER (WHERE email_opt_out IS NULL) AS consent_unknown,
       count(*) FILTER (
           WHERE regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')
             AND email_bounced IS NOT TRUE AND email_opt_out = false
       ) AS can_be_written_to
FROM crm.contacts
GROUP BY connection
ORDER BY connection;
