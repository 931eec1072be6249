"""The scorecard of a centre: how well people were served, from dedup's log alone."""
