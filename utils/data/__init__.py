"""Examples of any task once they are gathered: what a set holds, and which fold and split each belongs to."""
