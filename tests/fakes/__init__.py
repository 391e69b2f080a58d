"""Stand-ins for the outside world, as strict as the real thing."""
