-- Who may be written to: which contacts gave their consent, and took it back in none of the CRMs?
-- Consent has to be known (email_opt_out = false). An address that a contact or a lead opted out with, or that
-- bounced, in whatever CRM, is left out in all of them.
-- Money: none. Days: none.
WITH everybody AS (
    SELECT email, email_opt_out, email_bounced FROM crm.contacts
    UNION ALL
    SELECT email, email_opt_out, email_bounced FROM crm.leads
),
refused AS (
    SELECT DISTINCT lower(trim(email)) AS address
    FROM everybody
    WHERE email IS NOT NULL AND (email_opt_out OR email_bounced)
)
SELECT c.connection, c.full_name AS contact, c.email, co.name AS company, c.lawful_basis
FROM crm.contacts AS c
LEFT JOIN crm.companies AS co ON co.company_key = c.company_key
WHERE c.email_opt_out = false
  AND c.email_bounced IS NOT TRUE
  AND regexp_matches(c.email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')
  AND lower(trim(c.email)) NOT IN (SELECT address FROM refused)
ORDER BY c.connection, contact, c.email, c.contact_key;
