"""What a host was told last, and how a boot replays it."""
