"""Floor 0: errors, clock, identities and secrets. Imports nothing but the standard library."""
