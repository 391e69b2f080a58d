"""What a policy file may say: its sections, its conditions, and the checks before it rules. Pure."""
