"""Cases of many people about one event, found while they arrive; pure but for what reads its data."""
