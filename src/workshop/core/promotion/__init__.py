"""Promotion: comparing a candidate with the champion, and moving a slot."""
