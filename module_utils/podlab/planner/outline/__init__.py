"""What a run would do, told before any host is looked at."""
