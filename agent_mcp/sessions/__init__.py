"""What the published tools mean: sessions, turns, the log and its folds. Without I/O of its own."""
