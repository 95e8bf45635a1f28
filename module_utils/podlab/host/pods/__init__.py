"""This host's pods, their containers and volumes."""
