"""The pipeline language: YAML files, templates, expressions and triggers."""
