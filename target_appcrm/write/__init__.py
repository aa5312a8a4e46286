"""What is sent for a record."""
