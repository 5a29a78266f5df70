"""Stage two: TD3 in raw and in DynE action spaces."""
