"""Models as other programs run them."""
