"""Seeded runs with a virtual clock and injected faults: one seed, one run."""
