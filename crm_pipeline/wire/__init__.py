"""Floor 2: HTTP with its time limits, retries and paging. Nothing about any vendor."""
