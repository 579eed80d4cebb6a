"""HTTP to the outside, behind one guard against private addresses."""
