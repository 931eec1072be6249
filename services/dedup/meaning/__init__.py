"""What texts mean, whatever their words and language: the slow path of dedup, by a model on this
machine. Pure but for `embed` (the model), `kept` (its data files) and `slow` (the thread)."""
