"""A secret in a page is never the same bytes twice, and what a form brings back is the secret."""

from hypothesis import given
from hypothesis import strategies as st

from services.console.masking import masked, unmasked


@given(st.text())
def test_what_was_masked_is_read(secret: str) -> None:
    assert unmasked(masked(secret)) == secret


def test_no_two_pages_hold_the_same() -> None:
    pages = {masked("the-token-of-this-session") for _ in range(50)}
    assert len(pages) == 50
    assert not any("token" in page for page in pages)


@given(st.text())
def test_what_was_never_masked_is_nothing_that_ends_a_page(said: str) -> None:
    assert isinstance(unmasked(said), str)
