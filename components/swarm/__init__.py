"""Docker Swarm: its engines, what is on it, and how a service on it is made and waited for."""
