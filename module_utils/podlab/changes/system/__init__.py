"""Kernel settings, systemd and the marks of podlab."""
