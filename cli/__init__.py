"""What ``./lab`` does beyond the reach of a shell: read the inventory, ask hosts, enter them, print tables."""
