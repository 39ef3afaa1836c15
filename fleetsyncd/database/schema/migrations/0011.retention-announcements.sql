-- What retention is going to delete beyond what expires in its turn is announced a day before. The
-- announcement is kept here, so that it is the same for all daemons and no restart makes it shorter.
-- depends: 0010.partitions-of-others

CREATE TABLE IF NOT EXISTS fleetsync.retention (
    kind text NOT NULL CHECK (kind IN ('measurements', 'journal', 'quarantine', 'alarms')),
    keep integer NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    announced_at timestamptz,
    due_at timestamptz,
    months integer NOT NULL DEFAULT 0,
    row_count bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    oldest_at timestamptz,
    before_at timestamptz,
    PRIMARY KEY (kind, keep)
);

COMMENT ON TABLE fleetsync.retention IS
    'What each setting of retention keeps, and what it is going to delete';
COMMENT ON COLUMN fleetsync.retention.keep IS 'Months of measurements, days of the others; 0: for ever';
COMMENT ON COLUMN fleetsync.retention.since IS
    'When a daemon first ran with this setting, after the last one with a longer';
COMMENT ON COLUMN fleetsync.retention.seen_at IS 'When a daemon last ran with this setting';
COMMENT ON COLUMN fleetsync.retention.due_at IS
    'From when on it is deleted; null if nothing is announced';
COMMENT ON COLUMN fleetsync.retention.before_at IS 'What is older than this is announced';

-- The months that ended `keep_months` before the month that both clocks agree on, with estimates.
CREATE OR REPLACE FUNCTION fleetsync.expired_months(keep_months integer, today date)
RETURNS TABLE (
    partition text, begins timestamptz, ends timestamptz, row_count bigint, bytes bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    present date := current_date;
BEGIN
    IF keep_months IS NULL OR keep_months NOT BETWEEN 1 AND 1200 THEN
        RAISE EXCEPTION 'months to keep must be 1 to 1200, not %', keep_months;
    END IF;
    IF today IS NULL OR today NOT BETWEEN present - 1 AND present + 1 THEN
        RAISE EXCEPTION 'the caller''s clock says %, the database''s %: nothing is dropped',
            today, present;
    END IF;
    RETURN QUERY
    SELECT child.relname::text, r.begins, r.ends,
        -- Of a table that was never analysed: 68 bytes a row.
        coalesce(CASE WHEN child.reltuples >= 0 AND child.relpages > 0
                 THEN child.reltuples * (pg_relation_size(child.oid)
                      / current_setting('block_size')::integer) / child.relpages
                 ELSE pg_relation_size(child.oid) / 68 END, 0)::bigint,
        coalesce(pg_total_relation_size(child.oid), 0)
    FROM fleetsync.partition_ranges() r JOIN pg_class child ON child.oid = r.partition
    WHERE child.relkind = 'r' AND child.relnamespace = 'public'::regnamespace
      AND child.relname ~ '^measurements_[0-9]{4}_[0-9]{2}$'
      AND r.ends <= date_trunc('month', least(today, present))
                    - make_interval(months => keep_months)
    ORDER BY r.ends;
END
$$;

-- Whether a daemon with this setting may delete now; announces what has to wait. `is_usual`: no more
-- than one month, or than what expired within the last day. What comes from vehicles waits also while
-- the setting is new: until then they are asked for it. An announcement that the clock has outrun
-- begins again. Where daemons have several settings, the longest holds: each time that a daemon asks
-- with it, all shorter ones begin anew. What was not asked with for a day is forgotten.
CREATE OR REPLACE FUNCTION fleetsync.may_delete(
    of_kind text, keep_for integer, is_usual boolean, month_count integer, about_rows bigint,
    about_bytes bigint, oldest timestamptz, before timestamptz
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a_day CONSTANT interval := '1 day';
    is_monthly boolean := of_kind = 'measurements';
    from_vehicles boolean := of_kind IN ('measurements', 'alarms');
    outrun interval := CASE WHEN is_monthly THEN interval '32 days' ELSE interval '2 days' END;
    known fleetsync.retention;
BEGIN
    LOCK TABLE fleetsync.retention IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM fleetsync.retention r
    WHERE r.kind = of_kind AND r.keep <> keep_for
      AND (r.keep BETWEEN 1 AND keep_for OR r.seen_at < now() - a_day);
    INSERT INTO fleetsync.retention (kind, keep) VALUES (of_kind, keep_for)
    ON CONFLICT (kind, keep) DO UPDATE SET seen_at = now()
    RETURNING * INTO known;
    IF month_count = 0 AND about_rows = 0 OR is_usual AND NOT from_vehicles THEN
        UPDATE fleetsync.retention SET announced_at = NULL, due_at = NULL
        WHERE kind = of_kind AND keep = keep_for AND announced_at IS NOT NULL;
        RETURN true;
    END IF;
    IF known.announced_at IS NULL AND is_usual AND known.since <= now() - a_day THEN
        RETURN true;
    END IF;
    IF known.announced_at IS NULL OR before > known.before_at + outrun THEN
        known.announced_at := now();
        known.due_at := now() + a_day;
    END IF;
    UPDATE fleetsync.retention
    SET announced_at = known.announced_at, due_at = known.due_at, months = month_count,
        row_count = about_rows, bytes = about_bytes, oldest_at = oldest, before_at = before
    WHERE kind = of_kind AND keep = keep_for;
    RETURN known.due_at <= now();
END
$$;

-- There is no month to name: whatever a caller says, only the oldest expired one can go, and none
-- before its time unless an operator wants it `at_once`. Null means that nothing is to be done.
CREATE OR REPLACE FUNCTION fleetsync.drop_expired_month(
    keep_months integer, today date, at_once boolean
)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $$
DECLARE
    plan record;
BEGIN
    SELECT count(*)::integer AS months, coalesce(sum(row_count), 0)::bigint AS row_count,
        coalesce(sum(bytes), 0)::bigint AS bytes, min(begins) AS oldest, max(ends) AS before,
        (array_agg(partition ORDER BY ends))[1] AS partition
    INTO plan FROM fleetsync.expired_months(keep_months, today);
    IF at_once IS NOT TRUE
       AND fleetsync.may_delete('measurements', keep_months, plan.months <= 1, plan.months,
                                plan.row_count, plan.bytes, plan.oldest, plan.before) IS NOT TRUE
       OR plan.months = 0 THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP TABLE public.%I', plan.partition);
    RETURN plan.partition;
END
$$;

-- Daemons of the version before call this one: they wait as well.
CREATE OR REPLACE FUNCTION fleetsync.drop_expired_month(keep_months integer, today date)
RETURNS text
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'SELECT fleetsync.drop_expired_month(keep_months, today, false)';

REVOKE ALL ON FUNCTION fleetsync.drop_expired_month(integer, date, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleetsync.expired_months(integer, date) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleetsync.may_delete(
    text, integer, boolean, integer, bigint, bigint, timestamptz, timestamptz
) FROM PUBLIC;
