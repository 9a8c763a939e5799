"""All of Kubernetes: the watch, the Lease, what is read and written."""
