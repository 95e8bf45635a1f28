"""Links and routes of a host."""
