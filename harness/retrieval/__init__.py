"""Retrieval: queries, corpora, and what ranks one by the other; measured as any other benchmark is."""
