"""The functions by which rows are written and read on a cluster.

Each of them works where nothing is distributed, too, and without the extension: before the table is
distributed, after the way back, and in a dump that is restored elsewhere.
"""

from fleetsyncd.database.cluster import ROLE_UNKNOWN
from fleetsyncd.database.schema.plain_reading import READ_PLAIN

TABLE = "public.measurements"
STORE = "fleetsync.store_measurements(uuid,text,text,text,timestamptz,timestamptz)"
"""Runs on the worker that has the vehicle's rows."""
NAMING = "fleetsync.storage_table(uuid)"
SHARED = (NAMING, "fleetsync.is_distributed()", "fleetsync.sees_all()", "fleetsync.granted()")
"""Each node has them."""
WITH_LITERALS = "fleetsync.body_with(regprocedure, text[], text[])"
"""By which the functions that read shards give a query to a worker."""
_PINNED = "SET search_path = pg_catalog, pg_temp"
_INTERNAL = "current_setting('application_name') LIKE 'citus_internal%'"
"""Whether the coordinator, or another node, is who asks."""

# A move of a shard takes the lock exclusively before its last step: without it a row could land in
# the copy that is left behind. 5 is SHARE. The coordinator itself writes through the distributed
# table until the writing function is delegated.
NAME_SHARDS = f"""
CREATE OR REPLACE FUNCTION {NAMING.replace("(", "(vehicle ")} RETURNS text
LANGUAGE plpgsql {_PINNED} AS $function$
DECLARE
    shard bigint;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
        RETURN '{TABLE}';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = '{TABLE}'::regclass) THEN
        RETURN '{TABLE}';
    END IF;
    shard := get_shard_id_for_distribution_column('{TABLE}', vehicle);
    PERFORM lock_shard_metadata(5, ARRAY[shard]);
    IF NOT EXISTS (
        SELECT FROM pg_dist_placement p JOIN pg_dist_local_group USING (groupid)
        WHERE p.shardid = shard
    ) THEN
        IF {_INTERNAL} THEN
            RAISE serialization_failure
                USING MESSAGE = 'the rows of the vehicle have moved to another worker';
        END IF;
        RETURN '{TABLE}';
    END IF;
    RETURN '{TABLE}_' || shard;
END
$function$;
CREATE OR REPLACE FUNCTION fleetsync.is_distributed() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE {_PINNED} AS $function$
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NULL THEN
        RETURN false;
    END IF;
    RETURN EXISTS (
        SELECT FROM pg_dist_partition
        WHERE logicalrelid = '{TABLE}'::regclass AND partmethod = 'h'
    );
END
$function$;
"""  # noqa: S608  made of this file's own text

# Who was not told of enough, or has the policy of others, must not be taken for one that sees
# nothing.
KNOW_RIGHTS = f"""
CREATE OR REPLACE FUNCTION fleetsync.sees_all() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE {_PINNED} AS $function$
DECLARE
    told text := coalesce(current_setting('app.user_role', true), '');
BEGIN
    IF told = '' AND {_INTERNAL} THEN
        RAISE EXCEPTION USING ERRCODE = '{ROLE_UNKNOWN}',
            MESSAGE = 'this worker was not told of app.user_role',
            HINT = 'SET citus.propagate_set_commands = ''local'', and in each transaction'
                ' SET LOCAL app.user_role as a statement of its own';
    ELSIF told = 'owner' THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('%s sees all vehicles, or none: not those of an owner',
                                   session_user),
            HINT = 'log in as another role for owners, one without app.user_role = ''superuser'','
                ' grant it SELECT, then `fleetsyncd migrate --distribute`';
    END IF;
    RETURN told = 'superuser';
END
$function$;
CREATE OR REPLACE FUNCTION fleetsync.granted() RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER {_PINNED} AS $function$
DECLARE
    told text := coalesce(current_setting('app.user_role', true), '');
    copy text;
    vehicles uuid[];
BEGIN
    IF told = 'superuser' THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('%s sees the vehicles that were granted only', session_user),
            HINT = format('on every node ALTER ROLE %I SET app.user_role = ''superuser'', then'
                ' `fleetsyncd migrate --distribute`, which tells if that is not enough',
                session_user);
    END IF;
    IF told <> 'owner' THEN
        IF told = '' AND {_INTERNAL} THEN
            PERFORM fleetsync.sees_all();
        END IF;
        RETURN '{{}}';
    END IF;
    IF coalesce(current_setting('app.user_id', true), '') = '' AND {_INTERNAL} THEN
        RAISE EXCEPTION USING ERRCODE = '{ROLE_UNKNOWN}',
            MESSAGE = 'this worker was not told of app.user_id',
            HINT = 'SET citus.propagate_set_commands = ''local'', and in each transaction'
                ' SET LOCAL app.user_id as a statement of its own';
    END IF;
    IF to_regclass('pg_catalog.pg_dist_shard') IS NOT NULL THEN
        SELECT 'fleetsync.access_copy_' || s.shardid INTO copy FROM pg_dist_shard s
        WHERE s.logicalrelid = to_regclass('fleetsync.access_copy');
    END IF;
    EXECUTE 'SELECT array_agg(vehicle_id) FROM ' || coalesce(copy, 'fleetsync.access_copy')
        || ' WHERE user_id = $1' INTO vehicles
        USING nullif(current_setting('app.user_id', true), '')::uuid;
    RETURN coalesce(vehicles, '{{}}');
END
$function$;
"""  # noqa: S608  made of this file's own text

# With literals each is a query of one worker: rows of workers cannot be joined with local tables.
# The body of an SQL function has none until it is given some.
READ_SHARDS = f"""
CREATE OR REPLACE FUNCTION fleetsync.body_with(
    function regprocedure, names text[], literals text[]
)
RETURNS text
LANGUAGE plpgsql STABLE {_PINNED} AS $function$
DECLARE
    body text := (SELECT prosrc FROM pg_proc WHERE oid = function);
BEGIN
    FOR n IN 1 .. cardinality(names) LOOP
        body := regexp_replace(body, '\\m' || names[n] || '\\M', literals[n], 'g');
    END LOOP;
    RETURN body;
END
$function$;
CREATE OR REPLACE FUNCTION fleetsync.measured_channels(
    vehicle uuid, from_at timestamptz, to_at timestamptz
)
RETURNS SETOF integer
LANGUAGE plpgsql STABLE {_PINNED} AS $function$
BEGIN
    RETURN QUERY EXECUTE fleetsync.body_with(
        'fleetsync.channels_between(uuid,timestamptz,timestamptz)', '{{vehicle,from_at,to_at}}',
        ARRAY[format('%L::uuid', vehicle), format('%L::timestamptz', from_at),
              format('%L::timestamptz', to_at)]);
END
$function$;
CREATE OR REPLACE FUNCTION fleetsync.measured_minutes(
    vehicle uuid, channel integer, from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (
    minute timestamptz, count integer, min double precision, max double precision,
    sum double precision, first double precision, last double precision
)
LANGUAGE plpgsql STABLE {_PINNED} AS $function$
BEGIN
    RETURN QUERY EXECUTE fleetsync.body_with(
        'fleetsync.raw_minutes(uuid,integer,timestamptz,timestamptz)',
        '{{vehicle,channel,from_at,to_at}}',
        ARRAY[format('%L::uuid', vehicle), format('%L::integer', channel),
              format('%L::timestamptz', from_at), format('%L::timestamptz', to_at)]);
END
$function$;
CREATE OR REPLACE FUNCTION fleetsync.part_bytes(
    part regclass, OUT row_bytes bigint, OUT table_bytes bigint, OUT index_bytes bigint
)
LANGUAGE plpgsql STABLE {_PINNED} AS $function$
DECLARE
    is_elsewhere boolean := false;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        is_elsewhere := EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = part);
    END IF;
    IF is_elsewhere THEN
        row_bytes := citus_relation_size(part);
        table_bytes := citus_table_size(part);
        index_bytes := citus_total_relation_size(part) - table_bytes;
    ELSE
        row_bytes := pg_relation_size(part);
        table_bytes := pg_table_size(part);
        index_bytes := pg_indexes_size(part);
    END IF;
END
$function$;
"""  # noqa: S608  made of this file's own text

NAME_TABLE = f"""
CREATE OR REPLACE FUNCTION {NAMING.replace("(", "(vehicle ")} RETURNS text
LANGUAGE sql IMMUTABLE {_PINNED} AS $function$ SELECT '{TABLE}' $function$;
CREATE OR REPLACE FUNCTION fleetsync.is_distributed() RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$ SELECT false $function$;
{READ_PLAIN}
CREATE OR REPLACE FUNCTION fleetsync.part_bytes(
    part regclass, OUT row_bytes bigint, OUT table_bytes bigint, OUT index_bytes bigint
)
LANGUAGE sql STABLE AS $function$
    SELECT pg_relation_size(part), pg_table_size(part), pg_indexes_size(part)
$function$;
"""
"""The forms of one server, as the migrations make them."""
FORGET_RIGHTS = f"""
DROP FUNCTION IF EXISTS fleetsync.sees_all();
DROP FUNCTION IF EXISTS fleetsync.granted();
DROP FUNCTION IF EXISTS {WITH_LITERALS};
"""


def share(function: str) -> str:
    """Return SQL that gives a function to every node, now and whenever it is replaced."""
    return f"SELECT create_distributed_function('{function}')"


# Workers are told which roles were granted it, and not that PUBLIC was not.
DELEGATE = f"""
SELECT create_distributed_function('{STORE}', 'vehicle', colocate_with := '{TABLE}',
    force_delegation := true);
REVOKE ALL ON FUNCTION {STORE} FROM PUBLIC
"""  # noqa: S608  made of this file's own text
IS_DELEGATED = f"""
SELECT EXISTS (
    SELECT FROM pg_dist_object o JOIN pg_dist_partition p ON p.colocationid = o.colocationid
    WHERE o.classid = 'pg_proc'::regclass AND o.objid = '{STORE}'::regprocedure
      AND o.force_delegation AND o.distribution_argument_index = 0
      AND p.logicalrelid = '{TABLE}'::regclass)
"""  # noqa: S608  made of this file's own text
ARE_OF_CLUSTER = """
SELECT count(*) = 5 AND bool_and(l.lanname = 'plpgsql')
FROM pg_proc f JOIN pg_language l ON l.oid = f.prolang
WHERE f.pronamespace = 'fleetsync'::regnamespace AND f.proname IN ('storage_table',
    'is_distributed', 'measured_channels', 'measured_minutes', 'part_bytes')
"""
NAMES_SHARDS = (
    f"SELECT prosrc LIKE '%lock_shard_metadata%' FROM pg_proc WHERE oid = '{NAMING}'::regprocedure"  # noqa: S608  made of this file's own text
)
