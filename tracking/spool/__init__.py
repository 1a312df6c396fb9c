"""The spool: curves on local disk until MLflow has them."""
