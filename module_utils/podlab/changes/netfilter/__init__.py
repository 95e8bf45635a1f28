"""Chains of podlab's own, and those of other firewalls."""
