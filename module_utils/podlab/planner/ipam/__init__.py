"""Which node gets which pod CIDR, and which pod which address."""
