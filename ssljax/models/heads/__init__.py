"""Heads on the features of an encoder, and encoders with their heads."""
