"""What Arabic writes together with a word, and words without the article. Pure."""

ARTICLES = ("وال", "بال", "كال", "فال", "لل", "ال")
"""The Arabic article, alone or after one letter that is written together with it."""
ENDINGS = (
    *("هما", "كم", "هم", "ها", "نا", "ات", "ين", "ون", "ان", "ته", "تي", "يه"),
    *("ه", "ي", "ا", "ت"),
)
"""Whose it is, and how many: what Arabic writes after a word."""
_SHORTEST_STEM = 3
_ARTICLE_STARTS = frozenset(article[0] for article in ARTICLES)


def stem(token: str) -> str:
    """The token without the Arabic article; other words as they are."""
    if token[0] not in _ARTICLE_STARTS:
        return token
    for article in ARTICLES:
        if token.startswith(article) and len(token) - len(article) >= _SHORTEST_STEM:
            return token[len(article) :]
    return token
