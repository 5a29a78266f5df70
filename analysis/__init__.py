"""What reads results: curves, statistics, charts, the paper's figures, publishing."""
