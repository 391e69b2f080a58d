"""What a policy file may say: its sections, its conditions, the checks before it rules. Pure."""
