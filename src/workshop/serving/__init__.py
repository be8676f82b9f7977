"""HTTP server for the model version that holds a slot."""
