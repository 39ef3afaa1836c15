"""The copy of `vehicle_access` that every node has, kept by a trigger.

`vehicle_access` itself stays as it is: as a table of the cluster it would drag all tables along to
which its keys lead, and their policies do not bear that.
"""

from fleetsyncd.database.pool import Cursor

COPY = "fleetsync.access_copy"
_TRIGGERS = ("copy_access", "copy_access_truncated")
_WANTED = """
SELECT user_id, vehicle_id FROM public.vehicle_access
WHERE user_id IS NOT NULL AND vehicle_id IS NOT NULL
"""
# Without a key an adopted vehicle_access may have a row twice.
CREATE = f"""
CREATE TABLE IF NOT EXISTS {COPY} (
    user_id uuid NOT NULL,
    vehicle_id uuid NOT NULL,
    PRIMARY KEY (user_id, vehicle_id)
);
COMMENT ON TABLE {COPY} IS 'public.vehicle_access as every node of the cluster has it';
CREATE OR REPLACE FUNCTION fleetsync.copy_access() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {COPY};
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        IF NOT EXISTS (
            SELECT FROM public.vehicle_access a
            WHERE a.user_id = OLD.user_id AND a.vehicle_id = OLD.vehicle_id
        ) THEN
            DELETE FROM {COPY} c
            WHERE c.user_id = OLD.user_id AND c.vehicle_id = OLD.vehicle_id;
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {COPY} (user_id, vehicle_id)
        SELECT NEW.user_id, NEW.vehicle_id WHERE NEW.user_id IS NOT NULL
            AND NEW.vehicle_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION fleetsync.copy_access() FROM PUBLIC;
DROP TRIGGER IF EXISTS copy_access ON public.vehicle_access;
DROP TRIGGER IF EXISTS copy_access_truncated ON public.vehicle_access;
CREATE TRIGGER copy_access AFTER INSERT OR UPDATE OR DELETE ON public.vehicle_access
    FOR EACH ROW EXECUTE FUNCTION fleetsync.copy_access();
CREATE TRIGGER copy_access_truncated AFTER TRUNCATE ON public.vehicle_access
    FOR EACH STATEMENT EXECUTE FUNCTION fleetsync.copy_access();
DELETE FROM {COPY};
INSERT INTO {COPY} (user_id, vehicle_id) SELECT DISTINCT * FROM ({_WANTED}) wanted;
"""  # noqa: S608  made of this file's own text


def let_read(cursor: Cursor, role: str | None) -> str:
    """Return SQL that lets the daemon's role compare the copy."""
    cursor.execute("SELECT quote_ident(%s)", (role,))
    return f"GRANT SELECT ON {COPY} TO {cursor.fetchall()[0][0]}"


def may_read(cursor: Cursor, role: str | None) -> bool:
    """Tell whether a role may compare the copy, if there is one; the connected one for None."""
    cursor.execute(
        f"SELECT has_table_privilege(coalesce(%s, current_user), to_regclass('{COPY}'), 'SELECT')"
        " IS NOT FALSE",
        (role,),
    )
    return cursor.fetchall() == [(True,)]


SHARE = f"SELECT create_reference_table('{COPY}')"
IS_SHARED = f"""
SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('{COPY}'))
"""  # noqa: S608  made of this file's own text
IS_KEPT = f"""
SELECT to_regclass('{COPY}') IS NOT NULL AND (
    SELECT count(*) = {len(_TRIGGERS)} FROM pg_trigger
    WHERE tgrelid = 'public.vehicle_access'::regclass AND tgenabled <> 'D'
      AND tgname = ANY ('{{{",".join(_TRIGGERS)}}}'))
"""  # noqa: S608  made of this file's own text
_KEPT = f"SELECT user_id, vehicle_id FROM {COPY}"  # noqa: S608  made of this file's own text
DIFFERENCES = f"""
SELECT count(*) FROM ((({_WANTED}) EXCEPT ({_KEPT})) UNION ALL (({_KEPT}) EXCEPT ({_WANTED}))) d
"""  # noqa: S608  made of this file's own text
"""How many rows the copy lacks, or has without a reason."""
DROP = f"""
DROP TRIGGER IF EXISTS copy_access ON public.vehicle_access;
DROP TRIGGER IF EXISTS copy_access_truncated ON public.vehicle_access;
DROP FUNCTION IF EXISTS fleetsync.copy_access();
DROP TABLE IF EXISTS {COPY};
"""
