"""Where vehicles and the database meet: windows, the cycle, the supervisor."""
