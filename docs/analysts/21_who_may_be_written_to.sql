-- Who may be written to: which addresses have not opted out, in any CRM?
-- One line per address. It has to be known that a contact with it did not opt out (email_opt_out = false); that is
-- no proof of consent, see lawful_basis. Left out in all CRMs is an address with which a contact or a lead, live or
-- deleted, opted out, that bounced, or that HubSpot sends nothing to (quarantined); further addresses count there, and
-- other spellings ('Jane <jane@x.org>', 'jane @ x.org'). So are addresses that are undeliverable.
-- name is the first by the alphabet, where several contacts share the address.
-- Money: none. Days: none.
WITH everybody AS (
    SELECT email, emails, email_opt_out, email_bounced, custom FROM crm.contacts
    UNION ALL
    SELECT email, emails, email_opt_out, email_bounced, custom FROM crm.contacts_deleted
    UNION ALL
    SELECT email, emails, email_opt_out, email_bounced, custom FROM crm.leads
    UNION ALL
    SELECT email, emails, email_opt_out, email_bounced, custom FROM crm.leads_deleted
),
refusing AS (
    SELECT email, emails
    FROM everybody
    WHERE email_opt_out OR email_bounced OR (custom ->> 'hs_email_quarantined') = 'true'
),
refused_texts AS (
    SELECT email AS value FROM refusing
    UNION
    SELECT entry.value FROM (SELECT unnest(emails) AS entry FROM refusing)
),
refused AS (
    SELECT lower(regexp_replace(part, '\s', '', 'g')) AS address  -- deleted people's texts have no verdicts
    FROM (SELECT unnest(regexp_extract_all(value, '[^\s<>,;]+\s*@\s*[^\s<>,;]+')) AS part FROM refused_texts)
    UNION
    SELECT lower(v.email_normalized)
    FROM refused_texts AS r
    JOIN crm.email_verdicts AS v ON v.value = r.value
    WHERE v.email_normalized IS NOT NULL
)
SELECT lower(c.email) AS address,
       min(c.full_name) AS name,
       count(*) AS contacts,
       list_sort(list(DISTINCT c.connection)) AS connections,
       list_sort(list(DISTINCT c.lawful_basis) FILTER (WHERE c.lawful_basis IS NOT NULL)) AS lawful_basis
FROM crm.contacts AS c
WHERE c.email_opt_out = false
  AND regexp_matches(c.email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')
  AND c.email_verdict IS DISTINCT FROM 'undeliverable'
  AND lower(c.email) NOT IN (SELECT address FROM refused)
  AND lower(coalesce(c.email_normalized, c.email)) NOT IN (SELECT address FROM refused)
GROUP BY lower(c.email)
ORDER BY address;
