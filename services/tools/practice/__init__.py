"""`mawja practice`: synthetic callers for agents to practise on, judged and remembered."""
