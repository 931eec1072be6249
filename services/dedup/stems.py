"""Words without the Arabic article. Nothing else is cut off. Pure."""

# The Arabic article, alone or after one letter that is written together with it.
_ARTICLES = ("وال", "بال", "كال", "فال", "لل", "ال")
_SHORTEST_STEM = 3
_ARTICLE_STARTS = frozenset(article[0] for article in _ARTICLES)


def stem(token: str) -> str:
    """The token without the Arabic article; other words as they are."""
    if token[0] not in _ARTICLE_STARTS:
        return token
    for article in _ARTICLES:
        if token.startswith(article) and len(token) - len(article) >= _SHORTEST_STEM:
            return token[len(article) :]
    return token
