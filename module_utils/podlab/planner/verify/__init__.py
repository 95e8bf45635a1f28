"""What verify expects, and its report."""
