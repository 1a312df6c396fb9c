"""Who trains: workers, what they do with a trial, and who starts them."""
