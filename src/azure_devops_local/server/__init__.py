"""The server: the repository, its policies and pull requests, and the queue of runs."""
