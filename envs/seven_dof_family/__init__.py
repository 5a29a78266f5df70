"""Pusher, Striker and Thrower: an arm of seven joints above a table (paper, appendix A)."""
