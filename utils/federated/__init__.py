"""Federated learning itself: what a client does, what travels, and how a server makes one model of it."""
