"""`mawja contracts`: the contracts of agencies, how full they are, what is settled."""
