"""Looks at a set-up before anything runs on it, and says line by line what holds and what to do about what does not."""
