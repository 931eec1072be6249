"""Audiences: from a file of people to recipients, row by row, whatever the file is like.

`reader.Reader` takes the file's bytes as they come and gives recipients and bad rows;
`reader.read` is the same over an iterable. Nothing here knows who is the same person: that is
decided where persons are known.
"""
