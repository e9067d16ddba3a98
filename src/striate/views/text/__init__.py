"""Views for the terminal: each module draws the output of one command on a `Page`."""
