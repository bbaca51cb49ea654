"""Where Alembic starts: the connection is handed over by `taske_ray.db.migrate`, never made here."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
