"""What runs inside Flower: numpy, the standard library, and nothing of SkyFed but this folder."""
