-- Which replica pulls what: shown to operators; the locks themselves decide.
-- depends: 0004.months

ALTER TABLE fleetsync.replica ADD COLUMN IF NOT EXISTS shards integer[] NOT NULL DEFAULT '{}';
