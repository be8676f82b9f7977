"""Views of runs: the terminal, HTML pages and the web server."""
