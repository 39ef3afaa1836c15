"""The schema: created by `migrate`, checked by `doctor`.

migrate.py           bring the schema up to date, find missing migrations
applying.py          apply SQL files, statement by statement
lock_waits.py        wait for a lock without keeping others waiting
owner_session.py     a session that changes where measurements are kept
plain_reading.py     the functions that read measurements of one server's table
indexes.py           indexes of large tables, built while the fleet goes on
preconditions.py     what must be true before a migration
needed_tables.py     what the program needs of the tables
adoption.py          what of tables that were there before is different
row_security.py      whether policies let the daemon in
grants.py            the rights of the daemon's role
checks.py            doctor's checks of the database
partition_checks.py  doctor's check of the partitions
fleet_checks.py      doctor's checks of the fleet
daemon_checks.py     doctor's check of the daemons
notice_checks.py     doctor's check of the notices
retention_check.py   doctor's check of what is going to be deleted
tidy.py              tidy all closed months, as the owner
tidy_check.py        doctor's check of closed months
backups.py           doctor's check of who can make a dump
rehearsal.py         doctor's trial of all that a cycle writes
distribution/        measurements distributed over a Citus cluster
hidden/              measurements in a hidden table behind a view
migrations/          SQL files, applied in order
"""
