"""Commands for jobs of a real Azure pipeline."""
