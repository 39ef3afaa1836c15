"""Who listens to the main loop: metrics, the service manager, the watchdog."""
