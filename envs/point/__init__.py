"""A point in the plane, moved or pushed: the two environments of the paper's figures 8 and 10."""
