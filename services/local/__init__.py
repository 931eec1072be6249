"""The real parts on one machine: Kafka, Valkey and the SMS centre, as children of one process.

It decides nothing about contacts, cases or messages. `parts.Parts` starts what the environment
does not replace; `children` holds processes that never outlive their parent; `doctor` says what a
machine lacks. None of it runs in production.
"""
