"""The torch engine: networks run and trained by PyTorch."""
