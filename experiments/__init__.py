"""Everything that is published, as data, and what carries it out on one machine or on many."""
