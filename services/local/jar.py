"""How the list of Kafka's jars names one of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar: Maven coordinate group:artifact:version, size in bytes, SHA-256 in hex."""

    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The name it has in a folder of jars."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"
