"""`regie serve` as a process, spoken to from outside."""
