"""What goes out: records, states, receipts, progress."""
