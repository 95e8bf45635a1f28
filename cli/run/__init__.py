"""Verbs that run the lab: up, down, reset."""
