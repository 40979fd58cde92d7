"""Commands that run no Beam job."""
