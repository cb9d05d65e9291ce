"""How the database of decisions became what it is, one step a file; Alembic runs them in their order."""
