-- An alarm of the whole vehicle has no channel.
-- depends: 0008.vehicle-memory

-- The alarms of an adopted installation stay as they are: others may rely on it. This schema's own
-- table is told by its key.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint k
        WHERE k.conrelid = 'public.alarms_log'::regclass AND k.contype = 'p'
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
               WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))
              = ARRAY['alarm_id', 'vehicle_id']
    ) THEN
        ALTER TABLE public.alarms_log ALTER COLUMN channel_id DROP NOT NULL;
    END IF;
END
$$;
