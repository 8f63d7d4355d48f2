"""The actions of the companies' admin API; each name is a method of the emulation."""

ACTIONS = (
    *("expire_sessions", "rotate", "grant", "set_limits", "set_daily_limit", "set_company"),
    *("accept_query_token", "retire_v1", "answer_nothing", "repeat_cursor", "ignore_writes"),
    *("set_webhooks", "deliver_webhooks"),
    *("delete", "restore", "hard_delete", "merge"),
    *("rename_field", "retype_field", "hide_field", "remove_field", "add_field"),
    *("add_option", "rename_option", "remove_option", "hide_object"),
)
