"""How examples fall to owners, and how unequal that is."""
