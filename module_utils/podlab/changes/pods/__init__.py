"""A node's pods, their containers and volumes."""
