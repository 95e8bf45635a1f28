"""Service rules of this host, and what goes with them."""
