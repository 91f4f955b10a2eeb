"""Who runs turns."""
