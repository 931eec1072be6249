"""Load on Mawja: shapes of surges, a seeded crowd, a simulated floor, and what drives them.

`shapes`, `texts`, `people`, `floor`, `erlang`, `steps`, `surge` and `replay` decide what happens
and when, in virtual seconds and from a seed alone. They know no gRPC and no Kafka, so that
`mawja surge` and Locust replay the very same surge.
"""
