"""The pipeline language: reads YAML files, templates, expressions and triggers."""
