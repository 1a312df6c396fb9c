"""Views of a study, for people and programs."""
