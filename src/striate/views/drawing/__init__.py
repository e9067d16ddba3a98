"""Pictures of networks: facts are laid out as marks on a canvas, and every form of file is written from the marks."""
