"""Call-detail records of any phone system, read and told to intake."""
