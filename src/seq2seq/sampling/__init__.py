"""Music from a trained model."""
