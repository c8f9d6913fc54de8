"""SkyFed beside Flower and pfl-research at the same work: `make benchmark-peers`."""
