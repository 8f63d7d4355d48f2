"""What the emulated vendors have in common; knows none of them."""
