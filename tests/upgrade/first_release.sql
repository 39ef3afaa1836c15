-- A database as the first release left it: its migrations 0001 and 0002, run by the tables' owner,
-- and four of its cycles over three simulated vehicles (one good, one that timed out, one whose key
-- was changed). A plain dump, without psql's own commands and the migration library's log.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;

CREATE SCHEMA fleetsync;

ALTER SCHEMA fleetsync OWNER TO fleet_owner;

CREATE FUNCTION fleetsync.ensure_month(month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '3s'
    AS $$
DECLARE
    partition_name text := to_char(month, '"measurements_"YYYY_MM');
    first_moment timestamptz := month;
    end_moment timestamptz := month + interval '1 month';
    neighbour timestamptz;
BEGIN
    IF month IS NULL OR month <> date_trunc('month', month)
       OR month < date '2000-01-01' OR month > now() + interval '1 year' THEN
        RAISE EXCEPTION 'not the first day of a month between 2000 and a year ahead: %', month;
    END IF;
    IF (SELECT relkind FROM pg_class WHERE oid = 'public.measurements'::regclass) <> 'p'
       OR to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('fleetsync.ensure_month', 0));
    IF to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Months that another service cut at its local midnight are continued without a gap.
    SELECT max(bound[2]::timestamptz) INTO neighbour FROM fleetsync.month_bounds() bound
        WHERE bound[2]::timestamptz BETWEEN first_moment - interval '1 day'
                                        AND first_moment + interval '1 day';
    first_moment := coalesce(neighbour, first_moment);
    SELECT min(bound[1]::timestamptz) INTO neighbour FROM fleetsync.month_bounds() bound
        WHERE bound[1]::timestamptz BETWEEN end_moment - interval '1 day'
                                        AND end_moment + interval '1 day';
    end_moment := coalesce(neighbour, end_moment);
    -- Made apart and then attached: PARTITION OF would lock every reader and writer out.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.measurements'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition_name
    );
    EXECUTE format(
        'ALTER TABLE public.measurements ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition_name, first_moment, end_moment
    );
    RETURN true;
END
$$;

ALTER FUNCTION fleetsync.ensure_month(month date) OWNER TO fleet_owner;

CREATE FUNCTION fleetsync.month_bounds() RETURNS SETOF text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    SELECT regexp_match(
        pg_get_expr(child.relpartbound, child.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)'
    )
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'public.measurements'::regclass
$$;

ALTER FUNCTION fleetsync.month_bounds() OWNER TO fleet_owner;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE fleetsync._yoyo_log (
    id character varying(36) NOT NULL,
    migration_hash character varying(64),
    migration_id character varying(255),
    operation character varying(10),
    username character varying(255),
    hostname character varying(255),
    comment character varying(255),
    created_at_utc timestamp without time zone
);

ALTER TABLE fleetsync._yoyo_log OWNER TO fleet_owner;

CREATE TABLE fleetsync._yoyo_version (
    version integer NOT NULL,
    installed_at_utc timestamp without time zone
);

ALTER TABLE fleetsync._yoyo_version OWNER TO fleet_owner;

CREATE TABLE fleetsync.migration (
    migration_hash character varying(64) NOT NULL,
    migration_id character varying(255),
    applied_at_utc timestamp without time zone
);

ALTER TABLE fleetsync.migration OWNER TO fleet_owner;

CREATE TABLE fleetsync.quarantine (
    id bigint NOT NULL,
    vehicle_id uuid NOT NULL,
    digest uuid NOT NULL,
    call text NOT NULL,
    raw text NOT NULL,
    reason text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE fleetsync.quarantine OWNER TO fleet_owner;

COMMENT ON COLUMN fleetsync.quarantine.digest IS 'md5 of call and raw: a bad row met again in the next window''s overlap is kept once';

CREATE SEQUENCE fleetsync.quarantine_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE fleetsync.quarantine_id_seq OWNER TO fleet_owner;

ALTER SEQUENCE fleetsync.quarantine_id_seq OWNED BY fleetsync.quarantine.id;

CREATE TABLE fleetsync.replica (
    id uuid NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    interval_sec double precision NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    beat_at timestamp with time zone DEFAULT now() NOT NULL,
    cycle_sec double precision,
    vehicles integer
)
WITH (fillfactor='50');

ALTER TABLE fleetsync.replica OWNER TO fleet_owner;

CREATE TABLE fleetsync.vehicle_state (
    vehicle_id uuid NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    sync_requested_at timestamp with time zone,
    alarm_watermark timestamp with time zone,
    newest_measurement_at timestamp with time zone,
    asked_to timestamp with time zone,
    clock_skew_ms bigint DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    catching_up_from timestamp with time zone,
    catching_up_to timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='70');

ALTER TABLE fleetsync.vehicle_state OWNER TO fleet_owner;

COMMENT ON COLUMN fleetsync.vehicle_state.asked_to IS 'End of the last question while the vehicle''s clock was behind the watermark, else null';

COMMENT ON COLUMN fleetsync.vehicle_state.clock_skew_ms IS 'The vehicle''s clock minus the central one at the last good pull';

CREATE TABLE fleetsync.yoyo_lock (
    locked integer DEFAULT 1 NOT NULL,
    ctime timestamp without time zone,
    pid integer NOT NULL
);

ALTER TABLE fleetsync.yoyo_lock OWNER TO fleet_owner;

CREATE TABLE public.alarms_log (
    vehicle_id uuid NOT NULL,
    alarm_id bigint NOT NULL,
    channel_id integer NOT NULL,
    severity text,
    message text NOT NULL,
    triggered_at timestamp with time zone NOT NULL,
    resolved_at timestamp with time zone,
    synced_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.alarms_log FORCE ROW LEVEL SECURITY;

ALTER TABLE public.alarms_log OWNER TO fleet_owner;

CREATE TABLE public.channel_config (
    vehicle_id uuid NOT NULL,
    channel_id integer NOT NULL,
    name text NOT NULL,
    unit text,
    min_value double precision,
    max_value double precision,
    synced_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE public.channel_config OWNER TO fleet_owner;

CREATE TABLE public.measurements (
    vehicle_id uuid NOT NULL,
    channel_id integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    value double precision NOT NULL
)
PARTITION BY RANGE ("time");

ALTER TABLE ONLY public.measurements FORCE ROW LEVEL SECURITY;

ALTER TABLE public.measurements OWNER TO fleet_owner;

CREATE TABLE public.measurements_2026_11 (
    vehicle_id uuid CONSTRAINT measurements_vehicle_id_not_null NOT NULL,
    channel_id integer CONSTRAINT measurements_channel_id_not_null NOT NULL,
    "time" timestamp with time zone CONSTRAINT measurements_time_not_null NOT NULL,
    value double precision CONSTRAINT measurements_value_not_null NOT NULL
);

ALTER TABLE public.measurements_2026_11 OWNER TO fleet_owner;

CREATE TABLE public.measurements_2026_12 (
    vehicle_id uuid CONSTRAINT measurements_vehicle_id_not_null NOT NULL,
    channel_id integer CONSTRAINT measurements_channel_id_not_null NOT NULL,
    "time" timestamp with time zone CONSTRAINT measurements_time_not_null NOT NULL,
    value double precision CONSTRAINT measurements_value_not_null NOT NULL
);

ALTER TABLE public.measurements_2026_12 OWNER TO fleet_owner;

CREATE TABLE public.measurements_2027_01 (
    vehicle_id uuid CONSTRAINT measurements_vehicle_id_not_null NOT NULL,
    channel_id integer CONSTRAINT measurements_channel_id_not_null NOT NULL,
    "time" timestamp with time zone CONSTRAINT measurements_time_not_null NOT NULL,
    value double precision CONSTRAINT measurements_value_not_null NOT NULL
);

ALTER TABLE public.measurements_2027_01 OWNER TO fleet_owner;

CREATE TABLE public.sync_journal (
    id bigint NOT NULL,
    vehicle_id uuid NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    status text NOT NULL,
    rows_written integer DEFAULT 0 NOT NULL,
    error_msg text,
    CONSTRAINT sync_journal_status_check CHECK ((status = ANY (ARRAY['ok'::text, 'timeout'::text, 'error'::text])))
);

ALTER TABLE public.sync_journal OWNER TO fleet_owner;

CREATE SEQUENCE public.sync_journal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.sync_journal_id_seq OWNER TO fleet_owner;

ALTER SEQUENCE public.sync_journal_id_seq OWNED BY public.sync_journal.id;

CREATE TABLE public.vehicle_access (
    user_id uuid NOT NULL,
    vehicle_id uuid NOT NULL
);

ALTER TABLE public.vehicle_access OWNER TO fleet_owner;

CREATE TABLE public.vehicles (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    vpn_ip inet NOT NULL,
    api_port integer DEFAULT 8001 NOT NULL,
    api_key text,
    last_seen_at timestamp with time zone,
    last_sync_at timestamp with time zone,
    sync_status text DEFAULT 'unknown'::text NOT NULL,
    software_version text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT vehicles_api_port_check CHECK (((api_port >= 1) AND (api_port <= 65535))),
    CONSTRAINT vehicles_sync_status_check CHECK ((sync_status = ANY (ARRAY['ok'::text, 'timeout'::text, 'error'::text, 'unknown'::text])))
)
WITH (fillfactor='70');

ALTER TABLE ONLY public.vehicles FORCE ROW LEVEL SECURITY;

ALTER TABLE public.vehicles OWNER TO fleet_owner;

ALTER TABLE ONLY public.measurements ATTACH PARTITION public.measurements_2026_11 FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00');

ALTER TABLE ONLY public.measurements ATTACH PARTITION public.measurements_2026_12 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00');

ALTER TABLE ONLY public.measurements ATTACH PARTITION public.measurements_2027_01 FOR VALUES FROM ('2027-01-01 00:00:00+00') TO ('2027-02-01 00:00:00+00');

ALTER TABLE ONLY fleetsync.quarantine ALTER COLUMN id SET DEFAULT nextval('fleetsync.quarantine_id_seq'::regclass);

ALTER TABLE ONLY public.sync_journal ALTER COLUMN id SET DEFAULT nextval('public.sync_journal_id_seq'::regclass);

INSERT INTO fleetsync._yoyo_version VALUES
	(2, '2026-11-24 18:56:46.049297');

INSERT INTO fleetsync.migration VALUES
	('7dfc8c51d1226b6feda008e19b16aca517f84ef9066876f63d2a0cdce104ff0a', '0001.fleet-tables', '2026-11-24 18:56:46.093214'),
	('61c09cff9ddc5b7c4f9d32d86237aaaf618d0e5e57165451b37f2d4ce9ad0b30', '0002.fleetsync-schema', '2026-11-24 18:56:46.107215');

INSERT INTO fleetsync.quarantine VALUES
	(1, 'a236acc8-79cd-4aa4-868b-d8eb42054b94', '1b19a170-e911-653c-9d7c-ffaecc2859fa', '/data', '{}', 'not a row', '2026-11-24 18:56:46.770834+00');

INSERT INTO fleetsync.vehicle_state VALUES
	('19a4f888-9ed5-4516-be6b-d68247f97cc0', true, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, '2026-11-24 18:56:46.769605+00'),
	('fbd71bc2-d34c-4813-b250-64e36466bd1a', false, NULL, NULL, NULL, NULL, 0, 4, NULL, NULL, '2026-11-24 18:56:56.139607+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', false, NULL, '2026-11-24 18:56:56+00', '2026-11-24 18:56:55.299+00', NULL, -138, 0, NULL, NULL, '2026-11-24 18:56:56.147552+00'),
	('268112cc-1f6d-42dd-941e-fc00fad5f0c9', false, NULL, NULL, NULL, NULL, 0, 4, NULL, NULL, '2026-11-24 18:56:58.1383+00');

INSERT INTO public.alarms_log VALUES
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, 1, 'warning', 'over temperature', '2026-11-24 17:56:46.773652+00', '2026-11-24 18:56:46.773652+00', '2026-11-24 18:56:46.773652+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, 1, 'warning', 'over temperature', '2026-11-24 16:56:46.773652+00', '2026-11-24 18:56:46.773652+00', '2026-11-24 18:56:46.773652+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 3, 1, 'warning', 'over temperature', '2026-11-24 15:56:46.773652+00', NULL, '2026-11-24 18:56:46.773652+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1928147570939089766, 1, 'warning', 'Engine overspeed', '2026-11-24 16:32:09.401+00', '2026-11-24 16:34:31.348+00', '2026-11-24 18:56:47.175551+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1928147570939089770, 1, 'warning', 'Engine overspeed', '2026-11-24 16:52:22.825+00', '2026-11-24 16:53:24.648+00', '2026-11-24 18:56:47.175551+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1928147570939089781, 1, 'warning', 'Engine overspeed', '2026-11-24 17:48:36.414+00', '2026-11-24 17:52:24.35+00', '2026-11-24 18:56:47.175551+00');

INSERT INTO public.channel_config VALUES
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, 'Engine speed', 'rpm', 0, 3000, '2026-11-24 18:56:47.162183+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, 'Vehicle speed', 'km/h', 0, 80, '2026-11-24 18:56:47.162183+00');

INSERT INTO public.measurements_2026_11 VALUES
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:12.283+00', 831),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:12.283+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:13.271+00', 825),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:13.271+00', 0),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:14.152+00', 830),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:14.152+00', 0),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:15.241+00', 820),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:15.241+00', 0.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:16.11+00', 825),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:16.11+00', 0.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:17.186+00', 816),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:17.186+00', 0.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:18.266+00', 816),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:18.266+00', 0.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:19.134+00', 814),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:19.134+00', 0.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:20.276+00', 828),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:20.276+00', 0),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:21.131+00', 814),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:21.131+00', 0),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:22.052+00', 828),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:22.052+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:23.107+00', 811),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:23.107+00', 0),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:24.277+00', 825),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:24.277+00', 0.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:25.078+00', 814),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:25.078+00', 0.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:26.171+00', 911),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:26.171+00', 0.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:27.118+00', 1037),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:27.118+00', 0.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:28.275+00', 1167),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:28.275+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:29.075+00', 1292),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:29.075+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:30.291+00', 1397),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:30.291+00', 0.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:31.217+00', 1502),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:31.217+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:32.266+00', 1622),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:32.266+00', 0.8),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:33.013+00', 1743),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:33.013+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:34.234+00', 1827),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:34.234+00', 0.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:35.08+00', 1858),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:35.08+00', 1.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:36.055+00', 1878),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:36.055+00', 1.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:37.014+00', 1914),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:37.014+00', 1.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:38.296+00', 1951),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:38.296+00', 2.8),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:39.244+00', 1978),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:39.244+00', 2.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:40.191+00', 1977),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:40.191+00', 3.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:41.029+00', 1994),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:41.029+00', 3.5),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:42.152+00', 1972),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:42.152+00', 2.8),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:43.073+00', 1954),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:43.073+00', 2.5),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:44.282+00', 1931),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:44.282+00', 2.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:45.269+00', 1916),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:45.269+00', 2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:46.241+00', 1889),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:46.241+00', 2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:47.138+00', 1849),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:47.138+00', 0.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:48.025+00', 1838),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:48.025+00', 0.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:49.228+00', 1825),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:49.228+00', 0.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:50.262+00', 1816),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:50.262+00', 1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:51.132+00', 1813),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:51.132+00', 0.5),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:52.229+00', 1834),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:52.229+00', 1.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:53.05+00', 1862),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:53.05+00', 1.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:54.13+00', 1884),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:54.13+00', 2.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:55.279+00', 1914),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:55.279+00', 2.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:56.248+00', 1936),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:56.248+00', 3.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:57.14+00', 1978),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:57.14+00', 3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:58.042+00', 1997),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:58.042+00', 3.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:55:59.09+00', 2002),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:55:59.09+00', 3.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:00.142+00', 1974),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:00.142+00', 3.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:01.229+00', 1974),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:01.229+00', 3.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:02.067+00', 1937),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:02.067+00', 2.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:03.217+00', 1922),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:03.217+00', 2.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:04.004+00', 1886),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:04.004+00', 1.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:05.196+00', 1856),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:05.196+00', 0.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:06.067+00', 1818),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:06.067+00', 0.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:07.194+00', 1813),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:07.194+00', 0.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:08.006+00', 1815),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:08.006+00', 0.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:09.043+00', 1809),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:09.043+00', 0.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:10.271+00', 1826),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:10.271+00', 1.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:11.005+00', 1849),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:11.005+00', 0.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:12.172+00', 1880),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:12.172+00', 1.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:13.163+00', 1929),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:13.163+00', 1.8),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:14.229+00', 1942),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:14.229+00', 2.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:15.042+00', 1968),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:15.042+00', 2.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:16.111+00', 1996),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:16.111+00', 3.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:17.023+00', 2000),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:17.023+00', 3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:18.048+00', 1978),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:18.048+00', 3.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:19.062+00', 1967),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:19.062+00', 3.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:20.043+00', 1943),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:20.043+00', 3.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:21.263+00', 1917),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:21.263+00', 1.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:22.094+00', 1885),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:22.094+00', 2.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:23.206+00', 1853),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:23.206+00', 1.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:24.164+00', 1839),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:24.164+00', 1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:25.218+00', 1805),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:25.218+00', 0.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:26.193+00', 1818),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:26.193+00', 1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:27.065+00', 1805),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:27.065+00', 0.9),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:28.115+00', 1824),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:28.115+00', 0.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:29.289+00', 1845),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:29.289+00', 1.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:30.184+00', 1881),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:30.184+00', 1.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:31.182+00', 1914),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:31.182+00', 2.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:32.278+00', 1951),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:32.278+00', 2.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:33.047+00', 1966),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:33.047+00', 3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:34.022+00', 1977),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:34.022+00', 3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:35.283+00', 1984),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:35.283+00', 3.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:36.107+00', 1976),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:36.107+00', 3.5),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:37.17+00', 1976),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:37.17+00', 3.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:38.231+00', 1947),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:38.231+00', 2.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:39.009+00', 1915),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:39.009+00', 2.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:40.282+00', 1887),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:40.282+00', 1.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:41.081+00', 1846),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:41.081+00', 1.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:42.267+00', 1843),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:42.267+00', 0.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:43.185+00', 1811),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:43.185+00', 0.8),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:44.186+00', 1814),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:44.186+00', 1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:45.034+00', 1813),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:45.034+00', 0.2),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:46.186+00', 1836),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:46.186+00', 1.3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:47.092+00', 1864),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:47.092+00', 0.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:48.049+00', 1879),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:48.049+00', 2.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:49.053+00', 1919),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:49.053+00', 2.7),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:50.191+00', 1935),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:50.191+00', 3.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:51.222+00', 1971),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:51.222+00', 3.4),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:52.055+00', 1979),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:52.055+00', 3.6),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:53.16+00', 1986),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:53.16+00', 3),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:54.278+00', 1982),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:54.278+00', 3.1),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 1, '2026-11-24 18:56:55.299+00', 1969),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 2, '2026-11-24 18:56:55.299+00', 3.2);

INSERT INTO public.sync_journal VALUES
	(1, 'fbd71bc2-d34c-4813-b250-64e36466bd1a', '2026-11-24 18:56:47.150548+00', '2026-11-24 18:56:47.154297+00', 'error', 0, '/status: HTTP 401: the vehicle refuses the API key'),
	(2, 'a236acc8-79cd-4aa4-868b-d8eb42054b94', '2026-11-24 18:56:47.140776+00', '2026-11-24 18:56:47.177513+00', 'ok', 190, NULL),
	(3, '268112cc-1f6d-42dd-941e-fc00fad5f0c9', '2026-11-24 18:56:47.148521+00', '2026-11-24 18:56:49.149531+00', 'timeout', 0, '/status: no complete answer within 2 s'),
	(4, 'fbd71bc2-d34c-4813-b250-64e36466bd1a', '2026-11-24 18:56:50.134224+00', '2026-11-24 18:56:50.140004+00', 'error', 0, '/status: HTTP 401: the vehicle refuses the API key'),
	(5, 'a236acc8-79cd-4aa4-868b-d8eb42054b94', '2026-11-24 18:56:50.133885+00', '2026-11-24 18:56:50.154515+00', 'ok', 6, NULL),
	(6, '268112cc-1f6d-42dd-941e-fc00fad5f0c9', '2026-11-24 18:56:50.134598+00', '2026-11-24 18:56:52.135482+00', 'timeout', 0, '/status: no complete answer within 2 s'),
	(7, 'fbd71bc2-d34c-4813-b250-64e36466bd1a', '2026-11-24 18:56:53.13378+00', '2026-11-24 18:56:53.138821+00', 'error', 0, '/status: HTTP 401: the vehicle refuses the API key'),
	(8, 'a236acc8-79cd-4aa4-868b-d8eb42054b94', '2026-11-24 18:56:53.133475+00', '2026-11-24 18:56:53.142906+00', 'ok', 6, NULL),
	(9, '268112cc-1f6d-42dd-941e-fc00fad5f0c9', '2026-11-24 18:56:53.134041+00', '2026-11-24 18:56:55.134931+00', 'timeout', 0, '/status: no complete answer within 2 s'),
	(10, 'fbd71bc2-d34c-4813-b250-64e36466bd1a', '2026-11-24 18:56:56.136427+00', '2026-11-24 18:56:56.139431+00', 'error', 0, '/status: HTTP 401: the vehicle refuses the API key'),
	(11, 'a236acc8-79cd-4aa4-868b-d8eb42054b94', '2026-11-24 18:56:56.136148+00', '2026-11-24 18:56:56.147478+00', 'ok', 6, NULL),
	(12, '268112cc-1f6d-42dd-941e-fc00fad5f0c9', '2026-11-24 18:56:56.136673+00', '2026-11-24 18:56:58.138054+00', 'timeout', 0, '/status: no complete answer within 2 s');

INSERT INTO public.vehicles VALUES
	('19a4f888-9ed5-4516-be6b-d68247f97cc0', 'Paused-01', '10.8.0.9', 8001, NULL, NULL, NULL, 'unknown', NULL, '2026-11-24 18:56:46.766507+00'),
	('fbd71bc2-d34c-4813-b250-64e36466bd1a', 'Loader-03', '127.0.0.1', 46739, 'demo-764154619c2c5c508a4157d2', NULL, '2026-11-24 18:55:16.765626+00', 'error', NULL, '2026-11-24 18:56:46.765626+00'),
	('a236acc8-79cd-4aa4-868b-d8eb42054b94', 'Truck-01', '127.0.0.1', 43707, 'demo-0c55db507b12fa3d23901d90', '2026-11-24 18:56:56.141895+00', '2026-11-24 18:56:56+00', 'ok', '1.1.0', '2026-11-24 18:56:46.758444+00'),
	('268112cc-1f6d-42dd-941e-fc00fad5f0c9', 'Excavator-02', '127.0.0.1', 43299, 'demo-2aa0590182215b25e9228af4', NULL, '2026-11-24 18:55:16.762526+00', 'timeout', NULL, '2026-11-24 18:56:46.762526+00');

SELECT pg_catalog.setval('fleetsync.quarantine_id_seq', 1, true);

SELECT pg_catalog.setval('public.sync_journal_id_seq', 12, true);

ALTER TABLE ONLY fleetsync._yoyo_log
    ADD CONSTRAINT _yoyo_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY fleetsync._yoyo_version
    ADD CONSTRAINT _yoyo_version_pkey PRIMARY KEY (version);

ALTER TABLE ONLY fleetsync.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (migration_hash);

ALTER TABLE ONLY fleetsync.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (vehicle_id, digest);

ALTER TABLE ONLY fleetsync.replica
    ADD CONSTRAINT replica_pkey PRIMARY KEY (id);

ALTER TABLE ONLY fleetsync.vehicle_state
    ADD CONSTRAINT vehicle_state_pkey PRIMARY KEY (vehicle_id);

ALTER TABLE ONLY fleetsync.yoyo_lock
    ADD CONSTRAINT yoyo_lock_pkey PRIMARY KEY (locked);

ALTER TABLE ONLY public.alarms_log
    ADD CONSTRAINT alarms_log_pkey PRIMARY KEY (vehicle_id, alarm_id);

ALTER TABLE ONLY public.channel_config
    ADD CONSTRAINT channel_config_pkey PRIMARY KEY (vehicle_id, channel_id);

ALTER TABLE ONLY public.measurements
    ADD CONSTRAINT measurements_pkey PRIMARY KEY (vehicle_id, channel_id, "time");

ALTER TABLE ONLY public.measurements_2026_11
    ADD CONSTRAINT measurements_2026_11_pkey PRIMARY KEY (vehicle_id, channel_id, "time");

ALTER TABLE ONLY public.measurements_2026_12
    ADD CONSTRAINT measurements_2026_12_pkey PRIMARY KEY (vehicle_id, channel_id, "time");

ALTER TABLE ONLY public.measurements_2027_01
    ADD CONSTRAINT measurements_2027_01_pkey PRIMARY KEY (vehicle_id, channel_id, "time");

ALTER TABLE ONLY public.sync_journal
    ADD CONSTRAINT sync_journal_pkey PRIMARY KEY (vehicle_id, id);

ALTER TABLE ONLY public.vehicle_access
    ADD CONSTRAINT vehicle_access_pkey PRIMARY KEY (user_id, vehicle_id);

ALTER TABLE ONLY public.vehicles
    ADD CONSTRAINT vehicles_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.vehicles
    ADD CONSTRAINT vehicles_vpn_ip_api_port_key UNIQUE (vpn_ip, api_port);

CREATE INDEX vehicle_state_requested ON fleetsync.vehicle_state USING btree (sync_requested_at) WHERE (sync_requested_at IS NOT NULL);

CREATE INDEX alarms_log_open ON public.alarms_log USING btree (vehicle_id, triggered_at) WHERE (resolved_at IS NULL);

CREATE INDEX sync_journal_vehicle_started ON public.sync_journal USING btree (vehicle_id, started_at DESC);

ALTER INDEX public.measurements_pkey ATTACH PARTITION public.measurements_2026_11_pkey;

ALTER INDEX public.measurements_pkey ATTACH PARTITION public.measurements_2026_12_pkey;

ALTER INDEX public.measurements_pkey ATTACH PARTITION public.measurements_2027_01_pkey;

ALTER TABLE ONLY fleetsync.quarantine
    ADD CONSTRAINT quarantine_vehicle_id_fkey FOREIGN KEY (vehicle_id) REFERENCES public.vehicles(id) ON DELETE CASCADE;

ALTER TABLE ONLY fleetsync.vehicle_state
    ADD CONSTRAINT vehicle_state_vehicle_id_fkey FOREIGN KEY (vehicle_id) REFERENCES public.vehicles(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.alarms_log
    ADD CONSTRAINT alarms_log_vehicle_id_fkey FOREIGN KEY (vehicle_id) REFERENCES public.vehicles(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.channel_config
    ADD CONSTRAINT channel_config_vehicle_id_fkey FOREIGN KEY (vehicle_id) REFERENCES public.vehicles(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sync_journal
    ADD CONSTRAINT sync_journal_vehicle_id_fkey FOREIGN KEY (vehicle_id) REFERENCES public.vehicles(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.vehicle_access
    ADD CONSTRAINT vehicle_access_vehicle_id_fkey FOREIGN KEY (vehicle_id) REFERENCES public.vehicles(id) ON DELETE CASCADE;

ALTER TABLE public.alarms_log ENABLE ROW LEVEL SECURITY;

CREATE POLICY alarms_log_owner ON public.alarms_log FOR SELECT USING (((( SELECT current_setting('app.user_role'::text, true) AS current_setting) = 'owner'::text) AND (vehicle_id IN ( SELECT a.vehicle_id
   FROM public.vehicle_access a
  WHERE (a.user_id = (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid)))));

CREATE POLICY alarms_log_superuser ON public.alarms_log USING ((( SELECT current_setting('app.user_role'::text, true) AS current_setting) = 'superuser'::text));

ALTER TABLE public.measurements ENABLE ROW LEVEL SECURITY;

CREATE POLICY measurements_owner ON public.measurements FOR SELECT USING (((( SELECT current_setting('app.user_role'::text, true) AS current_setting) = 'owner'::text) AND (vehicle_id IN ( SELECT a.vehicle_id
   FROM public.vehicle_access a
  WHERE (a.user_id = (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid)))));

CREATE POLICY measurements_superuser ON public.measurements USING ((( SELECT current_setting('app.user_role'::text, true) AS current_setting) = 'superuser'::text));

ALTER TABLE public.vehicles ENABLE ROW LEVEL SECURITY;

CREATE POLICY vehicles_owner ON public.vehicles FOR SELECT USING (((( SELECT current_setting('app.user_role'::text, true) AS current_setting) = 'owner'::text) AND (id IN ( SELECT a.vehicle_id
   FROM public.vehicle_access a
  WHERE (a.user_id = (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid)))));

CREATE POLICY vehicles_superuser ON public.vehicles USING ((( SELECT current_setting('app.user_role'::text, true) AS current_setting) = 'superuser'::text));

GRANT USAGE ON SCHEMA fleetsync TO fleet_app;

GRANT USAGE ON SCHEMA public TO fleet_app;

REVOKE ALL ON FUNCTION fleetsync.ensure_month(month date) FROM PUBLIC;
GRANT ALL ON FUNCTION fleetsync.ensure_month(month date) TO fleet_app;

REVOKE ALL ON FUNCTION fleetsync.month_bounds() FROM PUBLIC;

GRANT SELECT ON TABLE fleetsync.migration TO fleet_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE fleetsync.quarantine TO fleet_app;

GRANT USAGE ON SEQUENCE fleetsync.quarantine_id_seq TO fleet_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE fleetsync.replica TO fleet_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE fleetsync.vehicle_state TO fleet_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.alarms_log TO fleet_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.channel_config TO fleet_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.measurements TO fleet_app;

GRANT SELECT,INSERT,DELETE ON TABLE public.sync_journal TO fleet_app;

GRANT USAGE ON SEQUENCE public.sync_journal_id_seq TO fleet_app;

GRANT SELECT ON TABLE public.vehicle_access TO fleet_app;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.vehicles TO fleet_app;
