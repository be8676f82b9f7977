"""What runs inside a real Azure pipeline."""
