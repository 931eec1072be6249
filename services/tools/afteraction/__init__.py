"""The after-action report of a surge: what happened, who was reached, what to do better, from the
log alone. Facts are folded, told in a language as a document, and written by `reports`.
"""
