-- Limits that begin anew at midnight somewhere, and what a limit counts.
ALTER TABLE crm_state.gate
    ADD COLUMN resets text NOT NULL DEFAULT '',
    ADD COLUMN unit text NOT NULL DEFAULT 'calls';
COMMENT ON COLUMN crm_state.gate.resets IS
    'The zone whose midnight begins the amount anew; empty for a rolling window.';

-- Who of a group made the calls. Rows of backups from before have none: the group itself.
ALTER TABLE crm_state.api_usage ADD COLUMN member text NOT NULL DEFAULT '';
UPDATE crm_state.api_usage SET member = group_name;
ALTER TABLE crm_state.api_usage DROP CONSTRAINT api_usage_pkey;
ALTER TABLE crm_state.api_usage ADD PRIMARY KEY (group_name, member, day, operation);
COMMENT ON COLUMN crm_state.api_usage.member IS 'The connection that made the calls.';
COMMENT ON TABLE crm_state.api_usage IS
    'Calls made and what they cost, per limit group, connection, day (UTC) and operation.';
