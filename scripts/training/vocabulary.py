"""Which tokens of the encoder's vocabulary the bundled model keeps, and how a model gets others back.

Word embeddings stay as the encoder has them, whatever is trained on top: a row that was cut can be put back without
training. How often a token is needed decides: in English at large (wordfreq) and in the collections.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenizers import Tokenizer

from training import collections

SIZE = 24_290
"""As many as fit into the weights' limit."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SHARE = 0.25
_MOST = 12_000
_SCRIPTS = ("LATIN", "GREEK", "MICRO", "FEMININE", "MASCULINE", "KELVIN", "DEGREE")


def english_use(tokenizer: Tokenizer) -> dict[str, float]:
    """Return how often each token occurs in a million words of English."""
    import wordfreq  # of the group `train`

    frequencies = wordfreq.get_frequency_dict("en", wordlist="large")
    words = list(frequencies)
    use: dict[str, float] = defaultdict(float)
    for word, encoding in zip(words, tokenizer.encode_batch(words, add_special_tokens=False), strict=True):
        for token in encoding.tokens:
            use[token] += frequencies[word] * 1e6
    return use


def use_in(texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, float]:
    """Return how often each token occurs in a million tokens of ``texts``."""
    counts: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    total = max(1, counts.total())
    return {token: count * 1e6 / total for token, count in counts.items()}


def use(data: Path, tokenizer: Tokenizer) -> dict[str, float]:
    """Return how much each token is needed: in English, and a quarter as much in the mean of the collections."""
    found = english_use(tokenizer)
    kinds = texts_by_collection(data)
    for texts in kinds.values():
        for token, share in use_in(texts, tokenizer).items():
            found[token] += _SHARE * share / len(kinds)
    return found


def texts_by_collection(data: Path) -> dict[str, list[str]]:
    """Return the documents of all collections, some of the large ones; of held-out texts only what is indexed."""
    found = {
        "products": [collections.product_text(each) for each in collections.product_corpus(data).values()],
        "movies": [collections.movie_text(each) for each in collections.movie_corpus(data).values()],
        "scifact": list(collections.scifact_corpus(data).values()),
    }
    for name in collections.PAGES:
        found[name] = [group.positives[0] for group in collections.pages(data, name, "train")][:_MOST]
    for group in collections.questions(data):
        found.setdefault(group.collection, []).extend((group.query, *group.positives))
    return {name: texts[:_MOST] for name, texts in found.items()}


def kept(vocabulary: Mapping[str, int], use: Mapping[str, float], size: int) -> list[str]:
    """Return the ``size`` tokens to keep, in their old order.

    Special tokens, single characters, signs and numbers always stay: any Latin word still decomposes, and a word
    beside a sign such as a currency's does not become unknown. The others stay by ``use``, the more frequent first.
    """
    usable = [token for token in vocabulary if _usable(token)]
    ranked = sorted(usable, key=lambda token: (-_always(token), -use.get(token, 0.0), vocabulary[token]))
    return sorted(ranked[:size], key=vocabulary.__getitem__)


def _always(token: str) -> bool:
    piece = token.removeprefix("##")
    return token in SPECIAL or len(piece) == 1 or not piece.isalpha()


def _usable(token: str) -> bool:
    if token in SPECIAL:
        return True
    return not token.startswith("[unused") and all(map(_is_western, token.removeprefix("##")))


def _is_western(character: str) -> bool:
    """Return whether it is a Latin or Greek letter, a sign, or a digit."""
    name = unicodedata.name(character, "")
    return name.startswith(_SCRIPTS) or (unicodedata.category(character)[0] in "PSN" and "CJK" not in name)
