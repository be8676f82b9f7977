"""Azure DevOps on a laptop: reads the team's pipeline files and does here what the service would do with them."""
