"""Verbs for the shell that ./lab is typed in: completion."""
