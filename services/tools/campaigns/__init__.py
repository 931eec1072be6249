"""`mawja campaign`: what a coordinator types to write to many, over the same gRPC as everybody."""
