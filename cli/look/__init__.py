"""Verbs that show: get, describe, rules, script."""
