"""Hand-scheduled templates, one per file: each generates the code of one function for a target and a few numbers."""
