"""The course: its pages, and the automated participant that carries them out."""
