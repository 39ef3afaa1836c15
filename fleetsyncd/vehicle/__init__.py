"""All that speaks to a vehicle: HTTP client, decoding, probing."""
