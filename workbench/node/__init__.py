"""A node with Pods on this machine: its programs, its images, and the node itself, all in namespaces of its own."""
