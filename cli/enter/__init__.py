"""Verbs that go into pods and hosts: exec, node, logs, port-forward, cp."""
