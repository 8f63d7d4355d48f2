-- What was bought from providers: recorded before it is asked for, settled by the response.
CREATE TABLE crm_state.purchases (
    provider text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    asked_for text,
    records text[] NOT NULL,
    state text NOT NULL CHECK (state IN ('asked', 'settled', 'waiting', 'erased')),
    run text NOT NULL,
    asked_at timestamptz NOT NULL,
    asked_times integer NOT NULL DEFAULT 1,
    lease_until timestamptz,
    reserved integer NOT NULL CHECK (reserved >= 0),
    cost integer CHECK (cost >= 0),
    earlier_cost integer NOT NULL DEFAULT 0,
    outcome text,
    is_free boolean,
    answer jsonb,
    settled_at timestamptz,
    retry_at timestamptz,
    revision bigint NOT NULL,
    PRIMARY KEY (provider, kind, subject)
);
CREATE INDEX purchases_by_time ON crm_state.purchases (provider, asked_at);
CREATE INDEX purchases_by_revision ON crm_state.purchases (revision);
COMMENT ON TABLE crm_state.purchases IS
    'One row per subject that was asked for; it exists only here, so backups hold it.';
COMMENT ON COLUMN crm_state.purchases.earlier_cost IS
    'Credits of earlier questions about the same subject, which count with those of this one.';
COMMENT ON COLUMN crm_state.purchases.subject IS
    'Keyed hash of what was asked for; it stays when the person is erased, so that nobody is bought again.';
COMMENT ON COLUMN crm_state.purchases.asked_for IS
    'The normalised address, profile, or name and domain; NULL once the person was erased.';
COMMENT ON COLUMN crm_state.purchases.reserved IS
    'Credits that the answer may cost; they count until the cost is known.';
