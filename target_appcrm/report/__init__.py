"""What is told: receipts, rejects, the summary."""
