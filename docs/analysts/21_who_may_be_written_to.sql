-- Who may be written to: which addresses have not opted out, in any CRM?
-- One line per address of crm.contactable, which leaves out in all CRMs what is undeliverable or not judged yet, and
-- with what a contact or a lead, live or deleted, opted out or bounced, however it is spelled there. Here it also has to
-- be known that a contact with it did not opt out (email_opt_out = false); that is no proof of consent, see lawful_basis.
-- And HubSpot must not have quarantined it, as the main or a further address of a contact, live or deleted.
-- name is the first by the alphabet, where several contacts share the address.
-- Money: none. Days: none.
WITH quarantined AS (
    SELECT email, emails FROM crm.contacts WHERE (custom ->> 'hs_email_quarantined') = 'true'
    UNION ALL
    SELECT email, emails FROM crm.contacts_deleted WHERE (custom ->> 'hs_email_quarantined') = 'true'
),
texts AS (
    SELECT email AS value FROM quarantined
    UNION
    SELECT entry.value FROM (SELECT unnest(emails) AS entry FROM quarantined)
),
refused AS (
    SELECT lower(regexp_replace(part, '\s', '', 'g')) AS address  -- deleted people's texts have no verdicts
    FROM (SELECT unnest(regexp_extract_all(value, '[^\s<>,;]+\s*@\s*[^\s<>,;]+')) AS part FROM texts)
    UNION
    SELECT lower(v.email_normalized)
    FROM texts AS t
    JOIN crm.email_verdicts AS v ON v.value = t.value
    WHERE v.email_normalized IS NOT NULL
)
SELECT w.email AS address,
       min(c.full_name) AS name,
       count(*) AS contacts,
       list_sort(list(DISTINCT c.connection)) AS connections,
       list_sort(list(DISTINCT c.lawful_basis) FILTER (WHERE c.lawful_basis IS NOT NULL)) AS lawful_basis
FROM crm.contactable AS w
JOIN crm.contacts AS c ON lower(c.email_normalized) = w.email
WHERE c.email_opt_out = false
  AND w.email NOT IN (SELECT address FROM refused)
GROUP BY w.email
ORDER BY address;
