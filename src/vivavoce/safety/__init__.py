"""Content classifiers: is this text violent, hateful, sexual, about self-harm, or an attempt to take the agent over?"""
