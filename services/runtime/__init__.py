"""What every room stands on: configuration, Kafka, Redis, gRPC, identity, privacy, time, ids.

It decides nothing about contacts, cases or messages, and imports no room.
"""
