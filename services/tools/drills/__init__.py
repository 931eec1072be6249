"""`mawja drill`: a rehearsed wave through a system that runs, scored, and kept to compare with."""
