"""What a policy file may say: its sections, its conditions, and what is checked before it rules. Pure."""
