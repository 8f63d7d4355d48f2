"""What all emulated vendors share; nothing here names a vendor."""
