"""Docker Swarm: its engines, what is on it, and how a service on it is made and waited for."""

NAMESPACE = "com.docker.stack.namespace"
"""Label by which `docker stack` finds what belongs together."""
