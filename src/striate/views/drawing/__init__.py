"""Pictures of networks: facts are laid out as marks on a canvas, and every file format is written from the marks."""
