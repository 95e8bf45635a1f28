"""Links, routes, rules and network namespaces of this host."""
