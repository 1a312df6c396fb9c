"""The command line: the only room that prints, and the one that joins the parts."""
