"""Media in, arrays out. No Beam, no Parquet."""
