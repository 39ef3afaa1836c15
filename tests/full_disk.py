"""Tables that refuse every row as on a full disk."""

from psycopg2 import sql

from fleetsyncd.demo.embedded import Server

FULL = "could not extend file: No space left on device"
_REFUSE = """
CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
END $$
"""
_TRIGGER = (
    "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION refuse()"
)


def refuse_rows(server: Server, database_name: str, *tables: str) -> None:
    """Have tables refuse every row that is inserted or changed."""
    triggers = [sql.SQL(_TRIGGER).format(sql.SQL(table)) for table in tables]
    server.execute(sql.SQL(_REFUSE), *triggers, database=database_name)


def take_rows(server: Server, database_name: str, *tables: str) -> None:
    """Have tables take rows again."""
    drops = [sql.SQL("DROP TRIGGER refuse ON {}").format(sql.SQL(table)) for table in tables]
    server.execute(*drops, database=database_name)
