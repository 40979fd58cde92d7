"""The steps of a Beam graph: plan units, do a unit, finish."""
