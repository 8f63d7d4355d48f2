-- What the vendors answered when they were asked whether anything had changed; one row a round of one connection.
CREATE TABLE crm_state.probes (
    id bigserial PRIMARY KEY,
    connection text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    answers jsonb NOT NULL
);
CREATE INDEX probes_asked_at ON crm_state.probes (asked_at);
COMMENT ON TABLE crm_state.probes IS
    'Rounds of probes, appended; the oldest go after CRM_KEEP_PROBE_DAYS days. Ids give the order, whatever the clock says.';
COMMENT ON COLUMN crm_state.probes.asked_by IS 'Who asked: sensor, or refresh.';
COMMENT ON COLUMN crm_state.probes.answers IS
    'By object: {"o": quiet, changed, skipped or failed, "n": calls, "c": records changed, "t": why}.';
