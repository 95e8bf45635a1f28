"""What verify's probes do on this host."""
