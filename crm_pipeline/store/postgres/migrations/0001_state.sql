-- OAuth tokens, encrypted with the state key and bound to the connection's name.
CREATE TABLE crm_state.tokens (
    connection text PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    sealed bytea,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN crm_state.tokens.version IS 'Grows with every save; 0 and no content until the first.';

-- The rate gate: one row per limit of a group, rewritten under its row lock.
CREATE TABLE crm_state.gate (
    group_name text NOT NULL,
    limit_name text NOT NULL,
    kind text NOT NULL,
    calls integer NOT NULL,
    period_s double precision NOT NULL,
    state jsonb NOT NULL,
    PRIMARY KEY (group_name, limit_name)
) WITH (fillfactor = 50);
COMMENT ON COLUMN crm_state.gate.state IS
    'Permits out on lease, permits spent by time, the vendor''s own counter; see store/budget.py.';

CREATE TABLE crm_state.api_usage (
    group_name text NOT NULL,
    day date NOT NULL,
    operation text NOT NULL,
    calls bigint NOT NULL,
    weight bigint NOT NULL,
    PRIMARY KEY (group_name, day, operation)
);
COMMENT ON TABLE crm_state.api_usage IS 'Calls made, per limit group, day (UTC) and operation.';
