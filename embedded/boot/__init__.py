"""Inside the lab's init: boot the embedded hosts that are missing, wire them, halt the surplus.

It is joined into one text when it is run. It runs as the root of the lab's user namespace, on the standard library
alone, and can be killed at any moment: a host that is not completely wired has no init yet and dies with this program.
"""
