"""How often a process looks for garbage that counting references leaves behind."""

import gc


def seldom() -> None:
    """To be called once all is loaded: what is there by now stays, and what a record or a request
    leaves behind is freed by counting references. With the defaults everything is looked through
    all the time under load, for a tenth of intake's and a sixth of broadcast's processor time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
