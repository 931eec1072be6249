"""`mawja campaign effect`: the calls that a campaign really avoided, or brought."""
