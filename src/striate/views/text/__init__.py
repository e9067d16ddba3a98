"""Views for the terminal: each module draws one command's answer on a `Page`."""
