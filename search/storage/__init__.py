"""The database: opening it, its tables, its faults and its patience."""
