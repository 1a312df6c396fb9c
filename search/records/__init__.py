"""What is kept of trials beside their results: checkpoints, MLflow runs, models, reports."""
