"""What a study records in MLflow."""
