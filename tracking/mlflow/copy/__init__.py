"""Copying a study to another MLflow store."""
