"""Intake: is this contact valid, and have we had this very one? OK only after Kafka has it."""
