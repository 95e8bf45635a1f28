"""What each host is told."""
