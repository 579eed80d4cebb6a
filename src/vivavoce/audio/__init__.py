"""Sound as arithmetic: PCM, resampling, G.711, WAV, mixing, muting. No I/O but that of whole files."""
