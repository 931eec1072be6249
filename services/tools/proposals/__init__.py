"""`mawja proposal`: what outreach suggests to send, and what a coordinator makes of it."""
