"""What a page of the API says."""
