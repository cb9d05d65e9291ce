"""What scores mean: label issues, calibration, curation, near duplicates, summaries."""
