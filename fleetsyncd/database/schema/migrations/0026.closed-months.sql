-- The keys of closed months are written anew, densely: the right to do it, what was done, and the way
-- to remove what an interrupted one leaves behind.
-- depends: 0025.one-door

CREATE TABLE IF NOT EXISTS fleetsync.housekeeping (
    task text NOT NULL,
    subject text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    bytes_before bigint,
    bytes_after bigint,
    error text,
    PRIMARY KEY (task, subject)
);

COMMENT ON TABLE fleetsync.housekeeping IS
    'What the housekeeping has done last, by its task and by what it was done to';
COMMENT ON COLUMN fleetsync.housekeeping.subject IS 'Of the task tidy: the partition';
COMMENT ON COLUMN fleetsync.housekeeping.started_at IS 'When it was begun last';
COMMENT ON COLUMN fleetsync.housekeeping.finished_at IS 'When it was done last; null: never';
COMMENT ON COLUMN fleetsync.housekeeping.bytes_before IS 'At started_at';
COMMENT ON COLUMN fleetsync.housekeeping.bytes_after IS 'At finished_at';
COMMENT ON COLUMN fleetsync.housekeeping.error IS 'Why the last one was not done; null: it was, or is';

-- Who may tidy a table may tidy each part of it: the right is not inherited. Servers before version 17
-- do not know it. Runs with the rights of the functions that make months.
CREATE OR REPLACE FUNCTION fleetsync.pass_on_maintenance(parent regclass, partition_name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    maintainer text;
BEGIN
    FOR maintainer IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                        ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = parent AND a.privilege_type = 'MAINTAIN'
    LOOP
        EXECUTE format('GRANT MAINTAIN ON public.%I TO %s', partition_name, maintainer);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION fleetsync.pass_on_maintenance(regclass, text) FROM PUBLIC;

-- Makes the month if it is missing; returns `made` then, else what was found.
CREATE OR REPLACE FUNCTION fleetsync.make_month(month date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '3s'
AS $$
DECLARE
    partition_name text := to_char(month, '"measurements_"YYYY_MM');
    plan record;
BEGIN
    plan := fleetsync.month_plan(month);
    IF plan.verdict <> 'missing' THEN
        RETURN plan.verdict;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('fleetsync.ensure_month', 0));
    -- Somebody else may just have made it.
    plan := fleetsync.month_plan(month);
    IF plan.verdict <> 'missing' THEN
        RETURN plan.verdict;
    END IF;
    -- Made apart and then attached: PARTITION OF would lock every reader and writer out.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.measurements'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING GENERATED)',
        partition_name
    );
    PERFORM fleetsync.pass_on_maintenance('public.measurements', partition_name);
    EXECUTE format(
        'ALTER TABLE public.measurements ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition_name, plan.first_moment, plan.end_moment
    );
    RETURN 'made';
END
$$;

-- What an interrupted REINDEX CONCURRENTLY has left of the months of measurements, and of minutes
-- once there are some: writers pay for it. While one runs, it holds the lock of its table that is looked for here.
CREATE OR REPLACE FUNCTION fleetsync.broken_indexes()
RETURNS TABLE (of_table regclass, schema_name text, index_name text, bytes bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.indrelid::regclass, n.nspname::text, c.relname::text,
        coalesce(pg_relation_size(c.oid), 0)
    FROM unnest(ARRAY['public.measurements', 'public.measurements_minute']) parent
    CROSS JOIN LATERAL pg_partition_tree(to_regclass(parent)) part
    JOIN pg_index i ON i.indrelid = part.relid AND NOT i.indisvalid
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relname ~ '_cc(new|old)[0-9]*$'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE part.isleaf AND NOT EXISTS (
        SELECT FROM pg_locks l
        WHERE l.locktype = 'relation' AND l.granted AND l.relation = i.indrelid
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_backend_pid()
    )
$$;

-- Drops one of them and returns its name; null if there is none. Nobody can name another index.
CREATE OR REPLACE FUNCTION fleetsync.drop_broken_index() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS $$
DECLARE
    broken record;
BEGIN
    SELECT schema_name, index_name INTO broken FROM fleetsync.broken_indexes()
    ORDER BY schema_name, index_name LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP INDEX IF EXISTS %I.%I', broken.schema_name, broken.index_name);
    RETURN broken.index_name;
END
$$;

REVOKE ALL ON FUNCTION fleetsync.broken_indexes() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleetsync.drop_broken_index() FROM PUBLIC;
