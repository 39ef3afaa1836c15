"""Central telemetry sync for a fleet of vehicles: pull, commit exactly once, say how far behind."""

__version__ = "0.1.0"
