"""The key of the emulated account."""

API_KEY = "sandbox-prospeo-key"
