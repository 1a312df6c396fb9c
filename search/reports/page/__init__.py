"""The report page: everything that a study found, as one HTML file that needs no network."""
