"""Named secrets of agents: looked up for author code, never written anywhere."""
