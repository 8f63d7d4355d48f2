-- What DNS said about the domains of e-mail addresses.
CREATE TABLE crm_state.dns_answers (
    domain text PRIMARY KEY,
    reason text NOT NULL,
    checked_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE crm_state.dns_answers IS
    'Whether domains receive mail, as DNS said; used until it expires. Nothing is lost with it.';
