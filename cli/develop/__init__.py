"""Verbs for who works on podlab: test, bench."""
