"""Study files: one TOML a task."""
