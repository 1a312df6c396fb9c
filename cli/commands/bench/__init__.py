"""What this machine, and what a database, can do, measured."""
