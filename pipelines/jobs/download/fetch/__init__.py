"""The process that fetches one clip after the other."""
