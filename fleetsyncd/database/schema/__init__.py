"""The schema: created by `migrate`, checked by `doctor`.

migrate.py   apply migrations, find missing ones
grants.py    the rights of the daemon's role
checks.py    doctor's checks of the database
citus.py     distribution over a Citus cluster
migrations/  SQL files, applied in order
"""
