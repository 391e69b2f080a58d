"""Alembic migrations, inside the wheel. Each is safe while the version before it still runs."""
