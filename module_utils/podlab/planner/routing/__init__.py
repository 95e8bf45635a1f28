"""How packets go between nodes, and from pods to the world."""
