"""Matching, average precision, recall against cost."""
