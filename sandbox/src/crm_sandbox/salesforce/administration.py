"""The actions of the org's admin API; each name is a method of the emulation."""

ACTIONS = (
    *("delete", "restore", "hard_delete", "merge"),
    *("rename_field", "retype_field", "hide_field", "add_field", "hide_object"),
    *("expire_sessions", "rotate", "register_certificate", "set_daily_limit", "set_bulk"),
    *("refuse_writes", "set_replication", "set_long_requests", "set_largest_upload"),
    ("send_outbound", "outbound.send"),
    ("deliver_outbound", "outbound.deliver"),
)
