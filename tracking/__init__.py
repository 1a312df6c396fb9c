"""Where trials are recorded: local spools and MLflow."""
