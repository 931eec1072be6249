"""Makes papers for people from the log: the scorecard, and reports of campaigns and surges."""
