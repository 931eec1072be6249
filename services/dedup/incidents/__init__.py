"""Cases of many people about one event, found while they arrive; pure but for the edges."""
