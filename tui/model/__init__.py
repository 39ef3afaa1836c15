"""What the dashboard knows, as plain data: no Textual here."""
