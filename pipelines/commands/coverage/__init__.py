"""`beam coverage`: which clips stores hold, and which two labs share."""
