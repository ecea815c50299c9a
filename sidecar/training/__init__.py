"""Fine-tunes a cross-encoder on judged lists: groups of texts of one query, what is learnt, and the files written."""
