"""Critics: distributions of the return of all agents together."""
