"""What a trained network says of one photo of the sky: how sure it is, why, and whether it is a sky at all."""
