"""Azure DevOps on one machine: a Git repository, pipelines, pull requests and the pages of their runs."""
