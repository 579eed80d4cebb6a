"""Typed values out of what people say: pure, and given the present moment."""
