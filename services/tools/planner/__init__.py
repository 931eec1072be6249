"""`mawja plan`: the agents, messages and machines that a wave takes, before it comes. `mawja
calibrate`: what this machine can do, for the plan."""
