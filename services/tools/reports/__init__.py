"""Reports made from the log alone: facts are folded, told in a language as a document, and the
document is written as HTML or PDF.
"""
