"""The plots of a page, in one style."""
