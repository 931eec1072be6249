"""The ledger: four records of what happened, held against each other.

- the generator's truth: which person and which need is behind each contact (`client`);
- the client's record: which contacts were acknowledged (`client`);
- the topics: which case each contact is in, which messages were asked for, what became of them
  (`contacts`, `messages`, `callbacks`, `letters`);
- the SMS centre's own record: what it was given, and what it accepted (`carrier`).

Pure: it is fed records and answers with an account. What does not add up is named. It judges by
what the design promises, stated here a second time, and by nothing of the services' own code: a
mistake there must not excuse itself here. A surge has all four records; `mawja ledger` judges a
running system by the last two.
"""

from loadtests.ledger.account import Account, Contacts, Messages, percentile
from loadtests.ledger.client import Truth
from loadtests.ledger.ledger import RUNNING, TOPICS, Ledger
from loadtests.ledger.standing import Bucket, Standing, standing

__all__ = [
    "RUNNING",
    "TOPICS",
    "Account",
    "Bucket",
    "Contacts",
    "Ledger",
    "Messages",
    "Standing",
    "Truth",
    "percentile",
    "standing",
]
