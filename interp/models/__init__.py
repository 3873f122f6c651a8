"""The models: registry, loading, verification, checked hooks."""
