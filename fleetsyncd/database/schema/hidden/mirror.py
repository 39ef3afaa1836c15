"""Triggers that write to a second table what is written to a first one, in the same transaction.

They are made under a lock that waits for every writer, so rows that the copy does not find are
written by the triggers. Deletions and changes take a lock of their vehicle, which the copy of that
vehicle's rows excludes: else a row that was read before its deletion would be copied after it.
"""

from fleetsyncd.database.schema.hidden.layout import close

FUNCTION = "fleetsync.write_to_both"
COPIED = "fleetsync.copied"
"""Which parts of the first table are copied, and of which vehicles; there while rows are copied."""
LOCK = 0x666C6D76  # "flmv"
_KEYS = "vehicle_id = OLD.vehicle_id AND channel_id = OLD.channel_id AND time = OLD.time"


def lock_of(vehicle: str, *, shared: bool = False) -> str:
    """Return SQL for the lock of a vehicle, given as an SQL expression of type text."""
    return f"pg_advisory_xact_lock{'_shared' * shared}({LOCK}, hashtext({vehicle}))"


def begin(source: str, target: str) -> str:
    """Return SQL that begins to write what `source` gets to `target`, too."""
    return f"""
CREATE OR REPLACE FUNCTION {FUNCTION}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE object_in_use USING
            MESSAGE = 'measurements cannot be truncated while they are copied',
            HINT = 'end `fleetsyncd migrate --timescale`, or take it back with --undo';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM {lock_of("OLD.vehicle_id::text", shared=True)};
        DELETE FROM {target} WHERE {_KEYS};
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {target} (vehicle_id, channel_id, time, value)
        VALUES (NEW.vehicle_id, NEW.channel_id, NEW.time, NEW.value) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION {FUNCTION}() FROM PUBLIC;
CREATE TABLE {COPIED} (
    part oid, vehicle_id uuid, upto timestamptz, PRIMARY KEY (part, vehicle_id));
{close(COPIED)}
COMMENT ON TABLE {COPIED} IS 'What `fleetsyncd migrate --timescale` has copied; the vehicle with'
    ' the number 0 stands for all of a part';
COMMENT ON COLUMN {COPIED}.upto IS 'Rows before this time are copied; null: all are';
CREATE TRIGGER write_to_both AFTER INSERT OR UPDATE OR DELETE ON {source}
    FOR EACH ROW EXECUTE FUNCTION {FUNCTION}();
CREATE TRIGGER write_to_both_truncated BEFORE TRUNCATE ON {source}
    FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}();
"""  # noqa: S608  made of this file's own text


def end(source: str) -> str:
    """Return SQL that ends it."""
    return f"""
DROP TRIGGER write_to_both_truncated ON {source};
DROP TRIGGER write_to_both ON {source};
DROP FUNCTION {FUNCTION}();
DROP TABLE {COPIED};
"""
