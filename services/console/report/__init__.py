"""Reports: how well people were served, and papers of campaigns and surges."""
