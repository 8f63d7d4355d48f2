"""The actions of the orgs' admin API; each name is a method of the emulation."""

ACTIONS = (
    *("delete", "restore", "hard_delete", "merge", "rename_field"),
    *("relabel_field", "retype_field", "hide_field", "restrict_field", "add_field"),
    *("add_choice", "hide_object", "expire_sessions", "set_token_limits", "set_credits"),
    *("set_concurrency", "set_paging", "set_search", "set_coql", "set_bulk"),
    *("set_bulk_write", "hold_notices", "release_notices", "set_watch", "refuse_writes"),
    *("set_guard", "set_currencies", "set_developer", "set_foreign", "set_zone"),
    *("drop_pipelines", "stamp_history_late"),
)
