"""Speech engines: recognisers, synthesizers and voice detectors, one file per engine."""
