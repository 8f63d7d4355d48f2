-- E-mail quality: how many contacts can be written to, and why not the others?
SELECT connection,
       count(*) AS contacts,
       count(*) FILTER (WHERE email IS NULL) AS without_email,
       count(*) FILTER (WHERE NOT regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')) AS malformed,
       count(*) FILTER (WHERE email_bounced_at IS NOT NULL) AS bounced,
       count(*) FILTER (WHERE email_opt_out) AS opted_out,
       count(*) FILTER (WHERE email_opt_out IS NULL) AS consent_unknown,
       count(*) FILTER (
           WHERE regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')
             AND email_bounced_at IS NULL AND email_opt_out = false
       ) AS can_be_written_to
FROM crm.contacts
GROUP BY connection
ORDER BY connection;
