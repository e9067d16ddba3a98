"""Hand-scheduled templates, one per file: each makes the text of one function from a target and a few numbers."""
