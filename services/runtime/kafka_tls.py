"""By which certificate a process is known to Kafka, and whose certificates it believes.

Kafka's rights (only its owner writes a topic) hold for who shows a certificate: in production each
room has one of its own. Both of the house's Kafka clients take the same two options. Read once: a
renewed certificate counts from the next start, and the ones before stay good for a month.
"""

import functools
import os
import ssl
from typing import Any

from services.runtime import certificates
from services.runtime.config import Reader
from services.runtime.errors import ConfigError

_NAME = "MAWJA_KAFKA_TLS"


@functools.cache
def context() -> ssl.SSLContext | None:
    """TLS to Kafka by the folder MAWJA_KAFKA_TLS (ca.crt, user.crt and user.key, as Strimzi names
    them); None where it is empty. Raises ConfigError when the folder does not hold them."""
    folder = Reader({_NAME: os.environ.get(_NAME, "")}).path(_NAME)
    if folder is None:
        return None
    try:
        made = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        made.load_cert_chain(str(folder / "user.crt"), str(folder / "user.key"))
        own, authority = (folder / "user.crt").read_bytes(), (folder / "ca.crt").read_bytes()
    except OSError as error:
        raise ConfigError(
            f"MAWJA_KAFKA_TLS is {folder}, which must hold ca.crt, user.crt and user.key in PEM: "
            f"{type(error).__name__}"
        ) from None
    certificates.show("kafka", lambda: own, lambda: authority)
    return made


def options() -> dict[str, Any]:
    """What a Kafka client is made with beside its addresses; nothing where there is no TLS."""
    made = context()
    return {} if made is None else {"security_protocol": "SSL", "ssl_context": made}
