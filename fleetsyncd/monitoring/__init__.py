"""The listeners of the main loop.

events.py           the events of the main loop
metrics.py          metrics of the daemon for Prometheus
notice_metrics.py  what is counted of notices
vehicle_metrics.py  counters and metrics of one vehicle
exporter.py         the page /metrics
http_server.py      the HTTP server of that page
slots.py            how many connections it has, and which one gives way
turns.py            long answers made in slices
gzip_coding.py      gzip as a content coding of HTTP
systemd.py          readiness and status for systemd
dead_man.py         a URL that is asked after each cycle, for who watches the daemon
watchdog.py         ends a daemon that hangs
"""
