"""The wave: windows of event time and the four service levels. Off the critical path."""
