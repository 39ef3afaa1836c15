#!/bin/sh
# Makes the two roles and the database; the postgres image runs it once, on an empty volume.
# The passwords are read by psql itself: no process list shows them.
set -eu
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --dbname=postgres --username="${POSTGRES_USER:-postgres}" <<'SQL'
\getenv owner_password DB_OWNER_PASSWORD
\getenv app_password DB_PASSWORD
CREATE ROLE fleet_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOBYPASSRLS;
CREATE ROLE fleet_app LOGIN PASSWORD :'app_password' NOSUPERUSER NOBYPASSRLS;
CREATE DATABASE fleet OWNER fleet_owner ENCODING 'UTF8' TEMPLATE template0;
ALTER ROLE CURRENT_USER PASSWORD NULL;
SQL
