"""podlab: Kubernetes pod networking by hand."""

__version__ = "0.1.0"
