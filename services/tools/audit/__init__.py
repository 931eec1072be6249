"""`mawja audit`: the rooms' audits from outside, read from their logs alone."""
