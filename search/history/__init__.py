"""What happened in a study, as rows of their own: every evaluation, and every attempt of a worker."""
