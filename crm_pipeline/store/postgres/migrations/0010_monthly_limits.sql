-- Limits that are whole again on one day of each month, such as credits of a provider.
ALTER TABLE crm_state.gate ADD COLUMN renews_on smallint NOT NULL DEFAULT 1;
COMMENT ON COLUMN crm_state.gate.renews_on IS
    'The day of the month on which a monthly amount is whole again; without meaning for other kinds.';
