"""From Kubernetes YAML to the model, with the checks of the API server."""
