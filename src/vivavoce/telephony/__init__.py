"""The lines on which calls come in: one file per dialect."""
