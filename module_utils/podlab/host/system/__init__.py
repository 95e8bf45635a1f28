"""The kernel, systemd and packages of this host."""
