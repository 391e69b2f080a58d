"""Our code against a real PostgreSQL and a real Kafka."""
