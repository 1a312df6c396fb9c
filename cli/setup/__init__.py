"""From options to a study: creating, joining, looking up."""
