"""The wines: originals, schemas, and the versioned tables that hold them."""
