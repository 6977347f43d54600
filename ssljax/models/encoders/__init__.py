"""Networks that turn images into features, layer by layer."""
