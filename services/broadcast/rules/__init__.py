"""What may be sent to whom, when and how often: rules as data, each with its source and its date.

`rules.yaml` holds them; `reading` reads it, `judge` decides, `frequency` remembers what a person
got, `leaving` says how to stop, `links` and `door` are one way to do so.
"""
