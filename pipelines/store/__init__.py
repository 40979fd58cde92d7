"""What stands on disk or in a bucket."""
