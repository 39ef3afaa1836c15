"""A simulated fleet and an embedded PostgreSQL; production never imports it.

commands.py       `demo`, `simulate`
launch.py         the whole demo: database, vehicles, daemon, dashboard
processes.py      its processes
embedded.py       the embedded PostgreSQL and its roles
clusters.py       its processes, from a wheel or the system's binaries
citus_cluster.py  a Citus cluster of such servers
databases.py      a migrated database on either
serve_citus.py    `make citus`: that cluster alone
fleet.py          the simulated vehicles and their faults
vehicle.py        one simulated vehicle's HTTP server
http_wire.py      HTTP requests and answers on the wire
commits.py        the rows that are there by a moment
lateness.py       how long after its stamp a row is there
readings.py       what a vehicle measures, as a pure function
waveforms.py      its channels and one period of readings
faults.py         how a vehicle misbehaves
checker.py        stored rows compared with generated ones
"""
