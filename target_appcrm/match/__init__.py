"""Which contact a record means."""
