"""Services as the KUBE-* chains of a node."""
