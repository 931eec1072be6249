"""What people decide and what they are shown, kept so that nothing of it changes unseen.

A replica notes a person's call before anything is done, and once more when it is answered; the
owner of the note's partition puts each note into the room's chain, once (`chain.py`). `table.py`
says which calls.
"""
