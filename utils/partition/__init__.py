"""How photos fall to owners, and how unequal that is."""
