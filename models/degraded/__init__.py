"""What trained runs are worth when sound or picture is worse, or not there."""
