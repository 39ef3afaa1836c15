"""The listeners of the main loop.

events.py           the events of the main loop
metrics.py          metrics of the daemon for Prometheus
vehicle_metrics.py  counters and metrics of one vehicle
exporter.py         the HTTP server of /metrics
systemd.py          readiness and status for systemd
watchdog.py         ends a daemon that hangs
"""
