"""What the services have in common. Nothing in here imports a service."""
