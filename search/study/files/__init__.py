"""A user's study file: read, layered over others, compared with a study that exists."""
