"""What has to be right before the first write, and how it is told."""
