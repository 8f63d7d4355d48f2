"""The actions of the portals' admin API; each name is a method of the emulation."""

ACTIONS = (
    *("delete", "restore", "hard_delete", "merge", "burst"),
    *("make_list", "change_members", "drop_list"),
    *("rename_field", "relabel_field", "retype_field", "hide_field", "add_field", "hide_object"),
    *("expire_sessions", "revoke_refresh", "restore_refresh", "rotate", "set_limits", "set"),
    *("require", "require_when", "use_field", "change_owner", "ignore_writes", "repeat_cursor"),
    *("hide_records", "subscribe", "set_webhooks", "deliver_webhooks"),
)
