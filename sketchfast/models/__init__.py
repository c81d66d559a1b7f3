"""Models of the papers, and the backbones they share."""
