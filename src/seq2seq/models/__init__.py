"""What a model is: its configuration, its layers, its architectures."""
