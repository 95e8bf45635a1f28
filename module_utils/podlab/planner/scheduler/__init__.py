"""Which pod runs on which node."""
