"""What is stored on disk or in a bucket."""
