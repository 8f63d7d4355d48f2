"""Floor 2: HTTP with its time limits, retries, paging and logins. Nothing about any vendor."""
