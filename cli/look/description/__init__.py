"""What ``./lab describe`` tells of each kind, in the layout of kubectl's pkg/describe/describe.go. Pure."""
