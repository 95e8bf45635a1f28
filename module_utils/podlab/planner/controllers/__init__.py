"""What Kubernetes' controllers do: from workloads to pods."""
